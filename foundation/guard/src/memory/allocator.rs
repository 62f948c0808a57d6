//! How the C library's allocator keeps memory that was given back.
//!
//! By default glibc opens an arena for each of up to eight threads a core and, once a large block was freed, keeps blocks
//! of that size in them. Columns of tens of MiB that are built on one thread and freed on another then leave holes in every
//! arena. With two arenas, and large blocks returned to the system at once, a collector at full rate peaks a third
//! lower for 3 % more CPU (`docs/performance.md`).

/// Arenas for all threads together.
const ARENAS: i32 = 2;
/// Blocks from this size on are mapped of their own and returned when they are freed. Bytes.
const MAP_FROM: i32 = 1 << 20;

/// Tells the allocator; false when it does not take it. What the environment says (`MALLOC_ARENA_MAX`,
/// `MALLOC_MMAP_THRESHOLD_`) goes first. To be called before the first thread is started; does nothing without glibc.
pub fn tune_allocator() -> bool {
    let wanted =
        [("MALLOC_ARENA_MAX", Setting::Arenas, ARENAS), ("MALLOC_MMAP_THRESHOLD_", Setting::MapFrom, MAP_FROM)];
    wanted.into_iter().all(|(variable, setting, value)| std::env::var_os(variable).is_some() || set(setting, value))
}

#[derive(Clone, Copy)]
enum Setting {
    Arenas,
    MapFrom,
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe way to mallopt(3)")]
fn set(setting: Setting, value: i32) -> bool {
    let parameter = match setting {
        Setting::Arenas => libc::M_ARENA_MAX,
        Setting::MapFrom => libc::M_MMAP_THRESHOLD,
    };
    // SAFETY: mallopt takes two numbers, reads no memory of ours, and locks its own state.
    unsafe { libc::mallopt(parameter, value) == 1 }
}

#[cfg(not(target_env = "gnu"))]
fn set(_: Setting, _: i32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_takes_the_settings() {
        assert!(tune_allocator());
    }
}
