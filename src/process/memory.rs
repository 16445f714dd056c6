//! The allocator's habits, for a process that waits for hours after a second of work.

#![expect(
    unsafe_code,
    reason = "the C library's allocator is told by its own calls"
)]

/// Heaps that the C library may open for threads that allocate at the same time: the supervisor's, and one for all others.
/// By default there are eight for each processor, and each keeps what a burst has left in it.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: libc::c_int = 2;

/// Makes threads share few heaps. To be called before there are any.
pub fn share_heaps() {
    // SAFETY: the call changes a number inside the allocator; a refusal changes nothing.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX)
    };
}

/// Gives free memory of all heaps back to the system. Takes milliseconds for some hundred megabytes.
pub fn release_free_memory() {
    // SAFETY: the call only touches memory that nobody has allocated.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
