//! Unix sockets by paths of any length: the kernel takes 107 bytes, so a long path goes through its directory's descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;
/// Longest path in an address, without its final zero.
const ADDRESS_MAX_BYTES: usize = 107;

/// An address, and the descriptor that must stay open while it is used.
struct Address {
    address: SocketAddrUnix,
    _dir: Option<File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= ADDRESS_MAX_BYTES {
            return Ok(Self {
                address: SocketAddrUnix::new(path)?,
                _dir: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(parent)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        Ok(Self {
            address: SocketAddrUnix::new(&short)?,
            _dir: Some(dir),
        })
    }
}

/// A listening socket at `path`, for the owner only from its first moment. What lies there is removed: the caller says that
/// it is nobody's.
pub(super) fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let address = Address::of(path)?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    // The file that `bind` makes gets the socket's own mode: there is no moment with wider rights.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    match bind(&socket, &address.address) {
        Err(rustix::io::Errno::ADDRINUSE) => {
            std::fs::remove_file(path)?;
            bind(&socket, &address.address)?;
        }
        other => other?,
    }
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A blocking connection to the socket at `path`. To be let in, where others wait before us, and each write take at most
/// `timeout`.
pub(super) fn connect_to(path: &Path, timeout: Duration) -> io::Result<OwnedFd> {
    let address = Address::of(path)?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    connect(&socket, &address.address)?;
    Ok(socket)
}
