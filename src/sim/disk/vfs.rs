//! SQLite's way to the simulated disk: a VFS whose files are those of the thread's [`super::Disk`].

#![expect(
    unsafe_code,
    reason = "a VFS is a table of C callbacks; each does one thing with pointers that SQLite vouches for"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Once;

use rusqlite::ffi;

use super::{DiskError, with_disk};

/// The name under which it is registered. It does not begin with `unix`, so the store leaves the real file system alone.
pub const NAME: &str = "auto-claude-sim";
const NAME_C: &CStr = c"auto-claude-sim";
/// Longest path.
const PATH_MAX_BYTES: c_int = 256;
/// What SQLite takes for a sector by default on Linux.
const SECTOR_SIZE: c_int = 4096;
/// A connection's store of small pieces: bytes of each, and how many.
const LOOKASIDE_BYTES: c_int = 1_200;
const LOOKASIDE_SLOTS: c_int = 100;
/// Pages that caches share: of this size each, and so many. What does not fit is allocated one by one.
const PAGE_BYTES: usize = 4_096;
const PAGES: usize = 1_024;
/// Microseconds that a sleep claims to have taken.
const SLEPT: c_int = 1;

/// A file as SQLite holds it: allocated by SQLite, of the size that the VFS names.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    number: u32,
    handle: u32,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes SQLite's memory cheap. A daemon of the simulation lives for some milliseconds only, and every change of a task opens
/// small temporary tables: what SQLite allocates for a cache or a connection in advance is most of what they cost.
fn configure() {
    let mut header_bytes: c_int = 0;
    // SAFETY: before SQLite is set up, which registering a VFS does; where it is set up already, nothing changes. The pages
    // live for ever, and begin at a multiple of eight.
    unsafe {
        // Its statistics take a lock for each piece.
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0);
        ffi::sqlite3_config(
            ffi::SQLITE_CONFIG_LOOKASIDE,
            LOOKASIDE_BYTES,
            LOOKASIDE_SLOTS,
        );
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_PCACHE_HDRSZ, &raw mut header_bytes);
        let words = (PAGE_BYTES + usize::try_from(header_bytes).unwrap_or(0)).div_ceil(8);
        let pages = Box::leak(vec![0_u64; words * PAGES].into_boxed_slice());
        ffi::sqlite3_config(
            ffi::SQLITE_CONFIG_PAGECACHE,
            pages.as_mut_ptr().cast::<c_void>(),
            c_int::try_from(words * 8).unwrap_or(0),
            c_int::try_from(PAGES).unwrap_or(0),
        );
    }
}

/// Registers the VFS with SQLite, once per process.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        configure();
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX),
            mxPathname: PATH_MAX_BYTES,
            pNext: ptr::null_mut(),
            zName: NAME_C.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the table lives for ever, and every callback in it has the signature that SQLite asks for.
        unsafe {
            ffi::sqlite3_vfs_register(vfs, 0);
        }
    });
}

const fn code(error: DiskError) -> c_int {
    match error {
        DiskError::Dead => ffi::SQLITE_IOERR,
        DiskError::Full => ffi::SQLITE_FULL,
        DiskError::SyncFailed => ffi::SQLITE_IOERR_FSYNC,
        DiskError::Missing => ffi::SQLITE_CANTOPEN,
    }
}

fn status(result: Result<(), DiskError>) -> c_int {
    result.map_or_else(code, |()| ffi::SQLITE_OK)
}

/// The name that SQLite gives, as text.
unsafe fn name_of(name: *const c_char) -> String {
    // SAFETY: SQLite passes a string that ends with a zero byte.
    unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned()
}

/// Which file it is.
unsafe fn ids(file: *mut ffi::sqlite3_file) -> (u32, u32) {
    // SAFETY: SQLite passes back what `open` has filled in.
    let file = unsafe { &*file.cast::<OpenFile>() };
    (file.number, file.handle)
}

fn place(offset: ffi::sqlite3_int64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let name = if name.is_null() {
        String::from("/temporary")
    } else {
        // SAFETY: not null, so it is a name.
        unsafe { name_of(name) }
    };
    let opened = with_disk(|disk| disk.open(&name, flags & ffi::SQLITE_OPEN_CREATE != 0));
    // SAFETY: SQLite has allocated `szOsFile` bytes for it. Without methods it is not closed again.
    unsafe {
        (*file).pMethods = ptr::null();
    }
    match opened {
        Err(error) => code(error),
        Ok((number, handle)) => {
            // SAFETY: as above; `out_flags` is null or writable.
            unsafe {
                file.cast::<OpenFile>().write(OpenFile {
                    base: ffi::sqlite3_file {
                        pMethods: &raw const METHODS,
                    },
                    number,
                    handle,
                });
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
            }
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite passes a name.
    let name = unsafe { name_of(name) };
    with_disk(|disk| match disk.delete(&name) {
        Ok(()) => {
            if sync_directory != 0 {
                disk.sync_directory();
            }
            ffi::SQLITE_OK
        }
        Err(DiskError::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(error) => code(error),
    })
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a name and a place for the answer.
    unsafe {
        let name = name_of(name);
        *out = c_int::from(with_disk(|disk| disk.exists(&name)));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a name, and `room` bytes for its copy.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > usize::try_from(room).unwrap_or(0) {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes `count` writable bytes.
    unsafe {
        ptr::write_bytes(out, 0x5a, usize::try_from(count).unwrap_or(0));
    }
    count
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, _microseconds: c_int) -> c_int {
    SLEPT
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe {
        *out = 0.0;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _room: c_int,
    _out: *mut c_char,
) -> c_int {
    0
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file of ours.
    let (number, handle) = unsafe { ids(file) };
    with_disk(|disk| {
        if let Some(file) = disk.files.get_mut(&number) {
            file.locks.remove(&handle);
        }
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, and `count` writable bytes.
    let ((number, _), into) = unsafe {
        let count = usize::try_from(count).unwrap_or(0);
        (
            ids(file),
            std::slice::from_raw_parts_mut(into.cast::<u8>(), count),
        )
    };
    let filled = with_disk(|disk| disk.read(number, place(offset), into));
    if filled == into.len() {
        return ffi::SQLITE_OK;
    }
    into[filled..].fill(0);
    ffi::SQLITE_IOERR_SHORT_READ
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, and `count` readable bytes.
    let ((number, _), from) = unsafe {
        let count = usize::try_from(count).unwrap_or(0);
        (
            ids(file),
            std::slice::from_raw_parts(from.cast::<u8>(), count),
        )
    };
    status(with_disk(|disk| disk.write(number, place(offset), from)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours.
    let (number, _) = unsafe { ids(file) };
    status(with_disk(|disk| disk.truncate(number, place(len))))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let (number, _) = unsafe { ids(file) };
    status(with_disk(|disk| disk.sync(number)))
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, and a place for the answer.
    unsafe {
        let (number, _) = ids(file);
        let bytes = with_disk(|disk| disk.files.get(&number).map_or(0, |file| file.bytes.len()));
        *out = ffi::sqlite3_int64::try_from(bytes).unwrap_or(0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let (number, handle) = unsafe { ids(file) };
    with_disk(|disk| {
        let Some(file) = disk.files.get_mut(&number) else {
            return ffi::SQLITE_OK;
        };
        let highest = file.locks.iter().filter(|(other, _)| **other != handle);
        let highest = highest.map(|(_, level)| *level).max().unwrap_or(0);
        let in_the_way = match level {
            ffi::SQLITE_LOCK_SHARED => highest > ffi::SQLITE_LOCK_RESERVED,
            ffi::SQLITE_LOCK_RESERVED => highest >= ffi::SQLITE_LOCK_RESERVED,
            _ => highest >= ffi::SQLITE_LOCK_SHARED,
        };
        if in_the_way {
            return ffi::SQLITE_BUSY;
        }
        let held = file.locks.entry(handle).or_default();
        *held = level.max(*held);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    let (number, handle) = unsafe { ids(file) };
    with_disk(|disk| {
        if let Some(file) = disk.files.get_mut(&number) {
            if level == ffi::SQLITE_LOCK_NONE {
                file.locks.remove(&handle);
            } else {
                file.locks.insert(handle, level);
            }
        }
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file of ours, and a place for the answer.
    unsafe {
        let (number, _) = ids(file);
        let reserved = with_disk(|disk| {
            let file = disk.files.get(&number);
            file.is_some_and(|file| {
                file.locks
                    .values()
                    .any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
            })
        });
        *out = c_int::from(reserved);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _op: c_int,
    _arg: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_SIZE
}

unsafe extern "C" fn characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    // As on Linux: a write changes no byte beside its own.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file of ours.
    let (number, _) = unsafe { ids(file) };
    let (region, bytes) = (
        usize::try_from(region).unwrap_or(0),
        usize::try_from(bytes).unwrap_or(0),
    );
    let address = with_disk(|disk| {
        let regions = &mut disk.files.get_mut(&number)?.regions;
        while extend != 0 && regions.len() <= region {
            regions.push(vec![0; bytes].into_boxed_slice());
        }
        regions.get_mut(region).map(|region| region.as_mut_ptr())
    });
    // SAFETY: a place for the answer. A region is freed only when every connection of its process is closed.
    unsafe {
        *out = address.map_or(ptr::null_mut(), <*mut u8>::cast);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    _file: *mut ffi::sqlite3_file,
    _offset: c_int,
    _count: c_int,
    _flags: c_int,
) -> c_int {
    // One thread, and no connection holds a snapshot between two calls: nobody can be in the way.
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(_file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    ffi::SQLITE_OK
}
