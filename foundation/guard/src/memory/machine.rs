//! How much memory this process may use: the smallest of the machine's and of its control groups' (cgroup v2).

use std::path::Path;

/// Bytes that the machine or the control group leaves to this process; `None` when neither says.
pub fn memory_of_machine() -> Option<u64> {
    memory_below(Path::new("/"))
}

fn memory_below(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let total = read("proc/meminfo").and_then(|text| total_of(&text));
    let group = read("proc/self/cgroup").and_then(|text| group_of(&text).map(str::to_owned));
    let mut smallest = total;
    // A limit of any group above counts, too.
    let mut at = group.as_deref().map(|group| group.trim_matches('/'));
    while let Some(group) = at {
        let limit = read(&format!("sys/fs/cgroup/{group}/memory.max")).and_then(|text| text.trim().parse().ok());
        smallest = smallest.into_iter().chain(limit).min();
        at = (!group.is_empty()).then(|| group.rsplit_once('/').map_or("", |(above, _)| above));
    }
    smallest
}

/// `MemTotal` of `/proc/meminfo`, bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The cgroup v2 line of `/proc/self/cgroup`.
fn group_of(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts() {
        let root = std::env::temp_dir().join(format!("daymark-memory-{}", crate::secret::random_key()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(memory_below(&root), None);
        write("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n");
        assert_eq!(memory_below(&root), Some(1_024_000));
        write("proc/self/cgroup", "0::/a/b\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(memory_below(&root), Some(1_024_000));
        write("sys/fs/cgroup/a/memory.max", "500000\n");
        assert_eq!(memory_below(&root), Some(500_000));
        write("sys/fs/cgroup/a/b/memory.max", "400000\n");
        assert_eq!(memory_below(&root), Some(400_000));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
