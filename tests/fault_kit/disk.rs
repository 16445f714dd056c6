//! Small file systems of a test's own: they fill up, lose their power, are mounted again, and are gone when dropped.
//!
//! Tests that need nothing else of the fault kit take this file alone: `#[path = "fault_kit/disk.rs"] mod disk;`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real tools and bound their waits by a clock"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses its part; one that uses all would make an expectation fail"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what must come: for a file system that another process still holds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Runs a tool; its standard output, or what it said instead.
pub fn try_run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} {arguments:?}: {}", said.trim()))
    }
}

/// Runs a tool that must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    try_run(program, arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// A mounted file system.
pub struct Disk {
    point: PathBuf,
    image: Option<PathBuf>,
    mounted: bool,
}

impl Disk {
    /// A tmpfs of `size` (as in `3m`) over the directory `point`.
    pub fn tmpfs(point: &Path, size: &str) -> Result<Self, String> {
        let size = format!("size={size}");
        try_run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(point)])?;
        Ok(Self {
            point: point.to_owned(),
            image: None,
            mounted: true,
        })
    }

    /// An ext4 of `mib` MiB in the new file `image`, made with further `options`, over the directory `point`.
    pub fn ext4(point: &Path, image: &Path, mib: u64, options: &[&str]) -> Result<Self, String> {
        File::create(image).unwrap().set_len(mib << 20).unwrap();
        let mut arguments = vec!["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"];
        arguments.extend(options);
        arguments.push(text(image));
        try_run("mke2fs", &arguments)?;
        let mut disk = Self {
            point: point.to_owned(),
            image: Some(image.to_owned()),
            mounted: false,
        };
        disk.try_mount()?;
        Ok(disk)
    }

    fn try_mount(&mut self) -> Result<(), String> {
        let image = self
            .image
            .as_deref()
            .expect("only an ext4 is mounted again");
        try_run("mount", &["-o", "loop", text(image), text(&self.point)])?;
        self.mounted = true;
        Ok(())
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Whether it is mounted now.
    pub fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Mounts it again.
    pub fn mount(&mut self) {
        self.try_mount().unwrap();
    }

    /// Unmounts it; waits until nothing uses it any more.
    pub fn unmount(&mut self) {
        let begun = Instant::now();
        while let Err(error) = try_run("umount", &[text(&self.point)]) {
            assert!(begun.elapsed() < PATIENCE, "still in use: {error}");
            std::thread::sleep(LOOK_AGAIN);
        }
        self.mounted = false;
        self.wait_for_device(begun);
    }

    /// Waits until the device is free: a mount namespace of another test may hold the file system for a while, and what is
    /// mounted meanwhile is the old one.
    fn wait_for_device(&self, begun: Instant) {
        let Some(image) = &self.image else { return };
        while !run("losetup", &["-j", text(image)]).is_empty() {
            assert!(
                begun.elapsed() < PATIENCE,
                "the device of {} is still in use",
                image.display()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Bytes free.
    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.point).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Writes a file until nothing goes in any more; the file.
    pub fn fill(&self, name: &str) -> PathBuf {
        let path = self.point.join(name);
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 64 << 10, 4 << 10] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        path
    }

    /// Makes empty files until there is no inode left; their directory.
    pub fn use_up_inodes(&self) -> PathBuf {
        let dir = self.point.join("inodes");
        std::fs::create_dir(&dir).unwrap();
        for n in 0.. {
            if File::create(dir.join(n.to_string())).is_err() {
                break;
            }
        }
        dir
    }

    /// The power goes: what was not synced is gone, every later call fails. What a process was told *while* this runs says
    /// nothing: a sync that overlaps it may succeed for blocks that the journal will not name any more.
    pub fn power_off(&self) -> Result<(), String> {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal is written out.
        let code = "import fcntl,os,struct,sys; \
                    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        try_run("python3", &["-c", code, text(&self.point)]).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: a process of the test, which is ended after this, may still use it when the test fails.
            let _ = try_run("umount", &["-l", text(&self.point)]);
        }
        if let Some(image) = &self.image {
            let _ = std::fs::remove_file(image);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' own paths are UTF-8")
}
