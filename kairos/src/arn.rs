//! Amazon Resource Names, in any partition and region.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::error::{breaks_line, disguises_line};

/// Why a text is not the ARN that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArnError {
    /// It is longer than [`Arn::MAX_LEN`].
    #[error("an ARN of {len} bytes is longer than the {} allowed", Arn::MAX_LEN)]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// It holds a blank, a control character, or one that turns the text around it.
    #[error("an ARN holds no blank or control character, as at byte {at}")]
    Blank {
        /// Where, as a byte offset.
        at: usize,
    },
    /// It does not have the six parts of an ARN, or an empty one.
    #[error("'{text}' is not an ARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE is expected")]
    Shape {
        /// The text.
        text: String,
    },
    /// Its partition is none.
    #[error("'{partition}' is no partition: aws, aws-cn or aws-us-gov is expected")]
    Partition {
        /// The partition.
        partition: String,
    },
    /// Its region is none.
    #[error("'{region}' is no region: lower-case letters, digits and '-' are expected")]
    Region {
        /// The region.
        region: String,
    },
    /// It names no region where one is needed.
    #[error("'{arn}' names no region")]
    NoRegion {
        /// The ARN.
        arn: String,
    },
    /// Its account does not have 12 digits.
    #[error("'{account}' is no account: 12 digits are expected")]
    Account {
        /// The account.
        account: String,
    },
    /// It does not name a role.
    #[error(
        "'{arn}' is not a role: arn:PARTITION:iam::ACCOUNT:role/NAME is expected, NAME being letters, digits and '+=,.@_-'"
    )]
    NotARole {
        /// The ARN.
        arn: String,
    },
}

/// A resource name that has the shape `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
///
/// Source of the shape: AWS General Reference, "Amazon Resource Names (ARNs)".
///
/// ```
/// use kairos::Arn;
///
/// let arn = Arn::parse("arn:aws-cn:lambda:cn-north-1:123456789012:function:ventas").unwrap();
/// assert_eq!(arn.partition(), "aws-cn");
/// assert_eq!(arn.region(), "cn-north-1");
/// assert_eq!(arn.resource(), "function:ventas");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Arn {
    /// Shared, as each execution hands its target on.
    text: Arc<str>,
    /// Where the colons after `arn`, partition, service, region and account stand.
    colons: [u16; 5],
}

impl Arn {
    /// The longest name that is accepted, in bytes.
    pub const MAX_LEN: usize = 1_600;

    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong, and what a name looks like.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        Self::parse_shared(&text.into())
    }

    /// The same of a text that others have too.
    pub(crate) fn parse_shared(text: &Arc<str>) -> Result<Self, ArnError> {
        if text.len() > Self::MAX_LEN {
            return Err(ArnError::TooLong { len: text.len() });
        }
        if let Some(at) = text.find(|c: char| c.is_whitespace() || breaks_line(c) || disguises_line(c)) {
            return Err(ArnError::Blank { at });
        }
        let shape = || ArnError::Shape { text: text.to_string() };
        let mut colons = [0u16; 5];
        let mut found = text.match_indices(':').map(|(at, _)| at);
        for colon in &mut colons {
            *colon = found.next().and_then(|at| u16::try_from(at).ok()).ok_or_else(shape)?;
        }
        let arn = Self { text: Arc::clone(text), colons };
        if !text.starts_with("arn:") || arn.service().is_empty() || arn.resource().is_empty() {
            return Err(shape());
        }
        let partition = arn.partition().strip_prefix("aws");
        if !partition.is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && may_be_host(rest))) {
            return Err(ArnError::Partition { partition: arn.partition().into() });
        }
        if !may_be_host(arn.region()) {
            return Err(ArnError::Region { region: arn.region().into() });
        }
        Ok(arn)
    }

    fn part(&self, index: usize) -> &str {
        let from = usize::from(self.colons[index]) + 1;
        match self.colons.get(index + 1) {
            Some(&to) => &self.text[from..usize::from(to)],
            None => &self.text[from..],
        }
    }

    /// `aws`, `aws-cn`, `aws-us-gov` and the like.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.part(0)
    }

    /// `lambda`, `sqs` and the like.
    #[must_use]
    pub fn service(&self) -> &str {
        self.part(1)
    }

    /// The region; empty for global services.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(2)
    }

    /// The account of 12 digits; empty for some services.
    #[must_use]
    pub fn account(&self) -> &str {
        self.part(3)
    }

    /// All that follows the account.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.part(4)
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether region and account are given, as a target of an invocation needs.
    pub(crate) fn check_regional(&self) -> Result<(), ArnError> {
        if self.region().is_empty() {
            return Err(ArnError::NoRegion { arn: self.to_string() });
        }
        self.check_account()
    }

    fn check_account(&self) -> Result<(), ArnError> {
        let account = self.account();
        if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
            Ok(())
        } else {
            Err(ArnError::Account { account: account.into() })
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arn({})", self.text)
    }
}

/// Region and partition become part of a host name: anything else in them could lead a request elsewhere.
fn may_be_host(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A role: `arn:PARTITION:iam::ACCOUNT:role/NAME`, with a path before the name if there is one.
#[derive(Debug)]
pub(crate) struct Role(Arn);

const ROLE: &str = "role/";

impl Role {
    /// Longest name, without its path (IAM API, `CreateRole`, `RoleName`).
    const MAX_NAME: usize = 64;

    /// Reads the name of a role. IAM takes more characters in a path, of which the ones left out mean something
    /// else to somebody: `%`, `:`, and a segment of dots.
    pub(crate) fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        arn.check_account()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        let is_part = |part: &str| part.bytes().any(|byte| byte != b'.') && part.bytes().all(fits);
        let is_role = arn.service() == "iam"
            && arn.region().is_empty()
            && arn.resource().strip_prefix(ROLE).is_some_and(|name| {
                name.split('/').all(is_part) && name.rsplit('/').next().is_some_and(|name| name.len() <= Self::MAX_NAME)
            });
        if is_role { Ok(Self(arn)) } else { Err(ArnError::NotARole { arn: text.into() }) }
    }

    pub(crate) fn account(&self) -> &str {
        self.0.account()
    }

    /// Whether it begins with a prefix: as a whole if that begins with `arn:`, else with its path and name.
    pub(crate) fn begins_with(&self, prefix: &str) -> bool {
        let compared = if prefix.starts_with("arn:") { self.0.as_str() } else { &self.0.resource()[ROLE.len()..] };
        compared.starts_with(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_name_with_colons_in_its_resource() {
        let arn = Arn::parse("arn:aws:states:us-east-1:123456789012:stateMachine:cierre:7").unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws", "states", "us-east-1", "123456789012", "stateMachine:cierre:7")
        );
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        for (text, expected) in [
            ("", "is not an ARN"),
            ("arn:aws:lambda:us-east-1", "RESOURCE is expected"),
            ("arn:aws:lambda:us-east-1:123456789012:", "is not an ARN"),
            ("urn:aws:lambda:us-east-1:123456789012:x", "is not an ARN"),
            ("arn:azure:lambda:us-east-1:123456789012:x", "no partition"),
            ("arn:aws:lambda:us-east-1:123456789012:a b", "at byte 39"),
        ] {
            let message = Arn::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        assert!(Arn::parse(&"a".repeat(2_000)).unwrap_err().to_string().contains("2000 bytes"));
    }

    #[test]
    fn partition_and_region_can_only_be_parts_of_a_host_name() {
        for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b"] {
            Arn::parse(&format!("arn:{partition}:sqs:us-east-1:123456789012:q")).unwrap();
        }
        for partition in ["", "AWS", "awsome", "aws/", "aws-CN", "aws.evil", "xaws"] {
            let error = Arn::parse(&format!("arn:{partition}:sqs:us-east-1:123456789012:q")).unwrap_err();
            assert!(matches!(error, ArnError::Partition { .. }), "{partition}: {error}");
        }
        for region in ["evil.example", "us-east-1/", "us-east-1#", "US-EAST-1", "ü", "us%2d"] {
            let error = Arn::parse(&format!("arn:aws:sqs:{region}:123456789012:q")).unwrap_err();
            assert!(matches!(error, ArnError::Region { .. }), "{region}: {error}");
        }
        let turned = Arn::parse("arn:aws:sqs:us-east-1:123456789012:\u{202e}q").unwrap_err();
        assert_eq!(turned, ArnError::Blank { at: 35 });
    }

    #[test]
    fn roles() {
        let role = Role::parse("arn:aws:iam::123456789012:role/ruta/kairos-ventas").unwrap();
        assert_eq!(role.account(), "123456789012");
        assert!(role.begins_with("ruta/kairos-") && role.begins_with("arn:aws:iam::123456789012:role/ruta/"));
        assert!(!role.begins_with("kairos-") && !role.begins_with("arn:aws-cn:"));
        Role::parse("arn:aws:iam::123456789012:role/a.b/AWS+=,.@_-9").unwrap();
        Role::parse(&format!("arn:aws:iam::123456789012:role/{}", "r".repeat(64))).unwrap();
        let long = format!("arn:aws:iam::123456789012:role/{}", "r".repeat(65));
        for text in [
            "arn:aws:iam::123456789012:user/kairos",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/kairos/",
            "arn:aws:iam::123456789012:role//kairos",
            "arn:aws:iam::123456789012:role/kairos/../admin",
            "arn:aws:iam::123456789012:role/kairos-%2e%2e/admin",
            "arn:aws:iam::123456789012:role/kairos:role/admin",
            "arn:aws:iam::123456789012:role/kairós",
            "arn:aws:iam::123456789012:Role/kairos",
            "arn:aws:iam:us-east-1:123456789012:role/kairos",
            "arn:aws:sts::123456789012:role/kairos",
            "arn:aws:iam::1234:role/kairos",
            "arn:aws:iam::aws:role/kairos",
            "arn:aws:iam:::role/kairos",
            "kairos",
            &long,
        ] {
            Role::parse(text).unwrap_err();
        }
    }
}
