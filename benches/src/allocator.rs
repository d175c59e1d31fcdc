//! The system's allocator, which counts while it is asked to: counting takes some 20 ns an allocation, a tenth and more of what is timed here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: Switched = Switched { is_counting: AtomicBool::new(false) };
const COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

struct Switched {
    is_counting: AtomicBool,
}

/// Does some work, counting what all threads allocate and free meanwhile.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, Stats) {
    let region = Region::new(COUNTING);
    ALLOCATOR.is_counting.store(true, Ordering::Relaxed);
    let result = work();
    ALLOCATOR.is_counting.store(false, Ordering::Relaxed);
    (result, region.change())
}

/// By how many bytes more has been allocated than freed so far, while that was counted. Less than none, where what was there before was freed.
#[cfg(feature = "aws")]
pub(crate) fn held() -> isize {
    let stats = COUNTING.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

impl Switched {
    fn is_counting(&self) -> bool {
        self.is_counting.load(Ordering::Relaxed)
    }
}

// SAFETY: all is handed on as it comes to the one allocator behind both, so that what either has allocated the other may free.
#[allow(unsafe_code, reason = "an allocator cannot be written, nor wrapped, without it")]
unsafe impl GlobalAlloc for Switched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { if self.is_counting() { COUNTING.alloc(layout) } else { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { if self.is_counting() { COUNTING.alloc_zeroed(layout) } else { System.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { if self.is_counting() { COUNTING.dealloc(pointer, layout) } else { System.dealloc(pointer, layout) } }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if self.is_counting() {
                COUNTING.realloc(pointer, layout, size)
            } else {
                System.realloc(pointer, layout, size)
            }
        }
    }
}
