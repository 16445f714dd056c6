//! Which file systems a database must not live on: those where another machine's write may come in between.

use std::path::Path;

/// Magic numbers of `statfs(2)` and the names of their file systems.
const NETWORK_MAGICS: [(u64, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB2"),
    (0xff53_4d42, "CIFS"),
    (0x564c, "NCP"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x7461_636f, "OCFS2"),
    (0x786f_4256, "VirtualBox shared folder"),
];

const FUSE_MAGIC: u64 = 0x6573_5546;

/// FUSE has one magic number for local and remote ones; these types in the mount table are remote.
const NETWORK_FUSE_TYPES: [&str; 14] = [
    "sshfs",
    "s3fs",
    "goofys",
    "gcsfuse",
    "rclone",
    "glusterfs",
    "ceph",
    "ceph-fuse",
    "davfs",
    "curlftpfs",
    "smbnetfs",
    "juicefs",
    "seaweedfs",
    "blobfuse2",
];

/// The name of the network file system that `directory` is on; `None` when it is a local one.
///
/// # Errors
/// When the directory cannot be examined.
pub(super) fn network_kind(directory: &Path) -> std::io::Result<Option<String>> {
    let magic = rustix::fs::statfs(directory)?.f_type;
    // The field's type differs between architectures; magic numbers have 32 bits.
    let magic = u64::from(magic as u32);
    let mounts = if magic == FUSE_MAGIC {
        std::fs::read_to_string("/proc/self/mountinfo")?
    } else {
        String::new()
    };
    Ok(classify(
        magic,
        fuse_type(&mounts, &directory.canonicalize()?),
    ))
}

fn classify(magic: u64, fuse_type: Option<&str>) -> Option<String> {
    if magic == FUSE_MAGIC {
        let kind = fuse_type?;
        return NETWORK_FUSE_TYPES
            .contains(&kind)
            .then(|| format!("FUSE {kind}"));
    }
    NETWORK_MAGICS
        .iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| (*name).to_owned())
}

/// The `fuse.TYPE` of the mount that holds `directory`, from the text of `/proc/self/mountinfo`.
fn fuse_type<'a>(mountinfo: &'a str, directory: &Path) -> Option<&'a str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, rest) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            // Blanks in paths are written as octal escapes; such a mount point is compared as it is and may be missed.
            let inside = directory.starts_with(point);
            inside.then(|| (point.len(), rest.split(' ').next().unwrap_or_default()))
        })
        // The last of the longest: a later mount covers an earlier one.
        .max_by_key(|(length, _)| *length)
        .and_then(|(_, kind)| kind.strip_prefix("fuse."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 22 0:40 / /home/ann/far rw,nosuid shared:1 - fuse.sshfs ann@far:/ rw\n\
        31 22 0:41 / /home/ann rw - fuse.gocryptfs crypt rw\n";

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        assert_eq!(classify(0x6969, None).as_deref(), Some("NFS"));
        assert_eq!(classify(0xff53_4d42, None).as_deref(), Some("CIFS"));
        assert_eq!(classify(0xef53, None), None, "ext4");
        assert_eq!(classify(0x0102_1994, None), None, "tmpfs");
        assert_eq!(
            classify(FUSE_MAGIC, Some("sshfs")).as_deref(),
            Some("FUSE sshfs")
        );
        assert_eq!(classify(FUSE_MAGIC, Some("fuse-overlayfs")), None);
        assert_eq!(classify(FUSE_MAGIC, None), None);
    }

    #[test]
    fn the_innermost_mount_decides() {
        assert_eq!(
            fuse_type(MOUNTS, Path::new("/home/ann/far/state")),
            Some("sshfs")
        );
        assert_eq!(
            fuse_type(MOUNTS, Path::new("/home/ann/state")),
            Some("gocryptfs")
        );
        assert_eq!(fuse_type(MOUNTS, Path::new("/var/lib")), None);
    }
}
