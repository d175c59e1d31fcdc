//! The least archive that a function can be made of.

/// A ZIP file that holds one file, as it is (PKWARE APPNOTE 6.3, method 0).
pub(crate) fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let mut common = Vec::new();
    // Version, flags, method, time, date.
    common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5c]);
    common.extend(crc32(content).to_le_bytes());
    common.extend(length);
    common.extend(length);
    common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    common.extend([0, 0]);

    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&common);
    archive.extend(name.as_bytes());
    archive.extend(content);
    let directory = archive.len();
    archive.extend(b"PK\x01\x02\x14\x03");
    archive.extend(&common);
    // No comment, disk 0, no attributes but that everybody may read it, at the beginning.
    archive.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81, 0, 0, 0, 0]);
    archive.extend(name.as_bytes());
    let size = u32::try_from(archive.len() - directory).unwrap();
    archive.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend(size.to_le_bytes());
    archive.extend(u32::try_from(directory).unwrap().to_le_bytes());
    archive.extend([0, 0]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_sum_is_that_of_the_specification() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
