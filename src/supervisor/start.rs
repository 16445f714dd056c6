//! Puts the supervisor together: lock, store, handler, engine, carriers; and takes it down again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::carriers::{Carriers, Shared};
use super::clock;
use super::directories::{check_database, make_directories};
use super::engine::{Engine, ORDERS_WAITING_MAX};
use super::event::{Attention, SupervisorEvent, Tell};
use super::handle::{CHANGES_KEPT, EVENTS_WAITING_MAX, Handle};
use super::handler::Handler;
use super::home::{self, Home};
use super::launch::LaunchContext;
use super::lock::{DaemonLock, LockError};
use super::place::LockPlace;
use super::readers::Readers;
use super::world::RealWorld;
use super::{forget, housekeeping, strays, tell, view};
use crate::attempt::spec::Owner;
use crate::config::paths::Paths;
use crate::config::{Settings, WrongRights};
use crate::process::{Launcher, OpenExe, stamp_of};
use crate::store::{OpenError, OpenOptions, Store, StoreError, Tx};
use crate::task::Task;

const BYTES_PER_MIB: u64 = 1024 * 1024;
/// Time for the carriers to take the engine's last orders.
const CARRIERS_LEAVE: std::time::Duration = std::time::Duration::from_secs(2);

/// Who starts the supervisor, and how.
#[derive(Debug)]
pub struct StartOptions {
    /// Where things are.
    pub paths: Paths,
    /// The settings.
    pub settings: Settings,
    /// Embedded in a foreground run: claims only the task that is submitted as such, workers end with this process.
    pub foreground: bool,
    /// The lock, taken before by a caller that had to choose between two ways.
    pub lock: Option<DaemonLock>,
}

/// Why the supervisor did not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    StateDir {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could write what is believed here.
    #[error(transparent)]
    Rights(#[from] WrongRights),
    /// Another daemon has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database has running attempts whose records are in another state directory.
    #[error(
        "the database {}: the records of {attempts} running attempts are in {}; let them end there first \
         (auto-claude serve --state-dir {}), or move these records to {}",
        database.display(), records_dir.display(), records_dir.parent().unwrap_or(records_dir).display(), here.display()
    )]
    Elsewhere {
        /// The database.
        database: PathBuf,
        /// How many attempts.
        attempts: usize,
        /// Where their records are.
        records_dir: PathBuf,
        /// Where this daemon would look for them.
        here: PathBuf,
    },
    /// The database is refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be read.
    #[error("cannot read the database: {0}")]
    Store(#[from] StoreError),
    /// The machine gives no thread, no executable, no process information.
    #[error("cannot start: {0}")]
    Machine(#[from] std::io::Error),
}

/// The running supervisor.
#[derive(Debug)]
pub struct Supervisor {
    /// Its face.
    pub handle: Handle,
    /// Attempts of an earlier daemon that were found at the start.
    pub found_running: u32,
    engine: std::thread::JoinHandle<()>,
    carriers: tokio::task::JoinHandle<()>,
    housekeeping: tokio::task::JoinHandle<()>,
    _lock: DaemonLock,
}

/// How the store is opened here.
#[must_use]
pub fn open_options(paths: &Paths, settings: &Settings) -> OpenOptions {
    OpenOptions {
        reserve_bytes: settings.disk_reserve_mb * BYTES_PER_MIB,
        kin: vec![paths.tasks_dir.clone(), paths.records_dir.clone()],
        ..OpenOptions::at(paths.database.clone())
    }
}

/// Starts the supervisor: when this returns, its store is open, running attempts of earlier daemons are being taken back,
/// and commands are taken.
///
/// # Errors
/// [`StartError`].
pub async fn start(options: StartOptions) -> Result<Supervisor, StartError> {
    make_directories(&options.paths)?;
    check_database(&options.paths)?;
    let foreground = options.foreground;
    let lock = match options.lock {
        Some(lock) => lock,
        None => DaemonLock::take(&options.paths, role(foreground))?,
    };
    let (paths, settings) = (Arc::new(options.paths), Arc::new(options.settings));
    crate::crash::point("start.locked");
    let opening = open_options(&paths, &settings);
    let opened = Opened::open_patiently(&opening, &paths, &settings, foreground).await?;
    crate::crash::point("start.opened");

    let current = Arc::new(RwLock::new(settings));
    let place = lock.place(&paths)?;
    let shared = share(&paths, place.clone(), &current, foreground)?;
    strays::mark(&opened.strays, &shared.busy);
    tell_set_aside(&opened.store, &shared);

    let (events, events_in) = mpsc::channel(EVENTS_WAITING_MAX);
    let (orders_out, orders) = mpsc::channel(ORDERS_WAITING_MAX);
    let changes = broadcast::Sender::new(CHANGES_KEPT);
    let failing = Arc::new(AtomicBool::new(false));
    let busy = Arc::clone(&shared.busy);
    let world = Box::new(RealWorld::new(Arc::clone(&paths), place, busy));
    let engine = Engine::new(
        opened.store,
        opened.handler,
        world,
        events_in,
        orders_out,
        changes.clone(),
        Arc::clone(&failing),
    );
    strays::end_all(opened.strays, &shared, &events);
    let found_running = u32::try_from(opened.running.len()).unwrap_or(u32::MAX);
    let carriers = tokio::spawn(
        Carriers::new(Arc::clone(&shared), orders, events.clone())
            .run(opened.running, opened.notices),
    );
    let engine = std::thread::Builder::new()
        .name("supervisor".to_owned())
        .spawn(move || engine.run())?;
    let readers = Arc::new(Readers::new(opening));
    let housekeeping = tokio::spawn(housekeeping::keep(
        changes.subscribe(),
        events.clone(),
        Arc::clone(&readers),
        housekeeping::QUIET,
    ));
    let handle = Handle {
        events,
        changes,
        readers,
        settings: current,
        paths,
        shared,
        leases: Arc::default(),
        failing,
        started_at: clock::now(),
    };
    Ok(Supervisor {
        handle,
        found_running,
        engine,
        carriers,
        housekeeping,
        _lock: lock,
    })
}

impl StartError {
    const fn is_disk_full(&self) -> bool {
        if let Self::Open(OpenError::Store { source, .. }) | Self::Store(source) = self {
            source.is_disk_full()
        } else {
            false
        }
    }
}

/// On a full disk the database is tried this often before the start fails, with this pause between: 10 seconds together.
const FULL_DISK_TRIES: u32 = 400;
const FULL_DISK_PAUSE: Duration = Duration::from_millis(25);

/// What the database says at the start.
struct Opened {
    store: Store,
    handler: Handler,
    running: Vec<Task>,
    notices: Vec<Tell>,
    strays: Vec<strays::Stray>,
}

impl Opened {
    /// As [`Self::open`]; on a full disk it gives up the reserve and tries for a while: what fills the disk may end, or give
    /// way for a moment.
    async fn open_patiently(
        options: &OpenOptions,
        paths: &Paths,
        settings: &Arc<Settings>,
        foreground: bool,
    ) -> Result<Self, StartError> {
        let mut tries = FULL_DISK_TRIES;
        loop {
            let error = match Self::open(options, paths, settings, foreground) {
                Err(error) if tries > 0 && error.is_disk_full() => error,
                other => return other,
            };
            if tries == FULL_DISK_TRIES {
                tracing::warn!(%error, "the disk is full: waiting for the little space that an open database needs");
            }
            tries -= 1;
            if let Err(error) = Store::give_up_reserve(options) {
                tracing::warn!(%error, "the reserve beside the database cannot be given up");
            }
            tokio::time::sleep(FULL_DISK_PAUSE).await;
        }
    }

    fn open(
        options: &OpenOptions,
        paths: &Paths,
        settings: &Arc<Settings>,
        foreground: bool,
    ) -> Result<Self, StartError> {
        let mut store = Store::open(options, clock::now())?;
        let mut batch = store.batch()?;
        let (handler, running, notices, strays, is_new_home) = batch.step(|tx| {
            let running = tx.running()?;
            let is_new_home = settle(paths, &running, tx)?;
            let handler = Handler::new(Arc::clone(settings), foreground, tx)?;
            let running = [running, handler.own_probes()].concat();
            let strays = strays::find(&paths.records_dir, &running, &handler, tx)?;
            forget::remove_lone_doors(paths, &running, tx)?;
            let notices = tell::left_to_tell(tx)?;
            Ok::<_, StartError>((handler, running, notices, strays, is_new_home))
        })?;
        if is_new_home {
            // Before anything is claimed: from the first claim on there are records.
            batch.commit()?;
        } else {
            drop(batch);
        }
        Ok(Self {
            store,
            handler,
            running,
            notices,
            strays,
        })
    }
}

/// Refuses a database whose running attempts have their records elsewhere; else writes down that this is their place now,
/// where that is new.
fn settle(paths: &Paths, running: &[Task], tx: &Tx<'_>) -> Result<bool, StartError> {
    match home::look(&paths.records_dir, running, tx)? {
        Home::Here => Ok(false),
        Home::New(text) => {
            home::remember(&text, tx)?;
            Ok(true)
        }
        Home::Elsewhere {
            records_dir,
            attempts,
        } => Err(StartError::Elsewhere {
            database: paths.database.clone(),
            attempts,
            records_dir,
            here: paths.records_dir.clone(),
        }),
    }
}

fn share(
    paths: &Arc<Paths>,
    place: LockPlace,
    settings: &Arc<RwLock<Arc<Settings>>>,
    foreground: bool,
) -> Result<Arc<Shared>, StartError> {
    let launch = LaunchContext {
        exe: OpenExe::current()?,
        launcher: Launcher::Direct,
        owner: owner(foreground)?,
    };
    Ok(Arc::new(Shared::new(
        Arc::clone(paths),
        place,
        Arc::clone(settings),
        launch,
    )))
}

fn tell_set_aside(store: &Store, shared: &Shared) {
    let set_aside = store.set_aside();
    if let Some(first) = set_aside.first() {
        shared.attend_to(Attention::set_aside(set_aside.len() as u64, first));
    }
}

impl Supervisor {
    /// Leaves: commits what is queued and stops. Running attempts go on without us; returns how many.
    pub async fn leave(self) -> u32 {
        self.housekeeping.abort();
        let running = if self.is_in_place() {
            self.handle
                .query(|reader| reader.counts())
                .await
                .map_or(0, |counts| view::running(&counts))
        } else {
            // A query would open whatever database is at that path now.
            0
        };
        drop(self.handle.events.send(SupervisorEvent::Leave).await);
        let engine = self.engine;
        if tokio::task::spawn_blocking(move || engine.join())
            .await
            .is_err()
        {
            tracing::error!("the supervisor's thread could not be waited for");
        }
        crate::crash::point("leave.stopped");
        // With the engine gone the carriers end once they have taken its last orders.
        let mut carriers = self.carriers;
        if tokio::time::timeout(CARRIERS_LEAVE, &mut carriers)
            .await
            .is_err()
        {
            carriers.abort();
        }
        running
    }

    /// Waits until the supervisor's thread has ended by itself, which it does only when it can do nothing right any more.
    pub async fn ended(&self) {
        self.handle.events.closed().await;
    }

    /// Whether it has.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.handle.events.is_closed()
    }

    /// Whether the state directory is still the one that this daemon has locked.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.handle.shared.place.is_ours()
    }

    /// Whether the store takes commits at present.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.handle.failing.load(Ordering::Relaxed) && !self.engine.is_finished()
    }

    /// Puts new settings in force.
    pub async fn reload(&self, settings: Settings) {
        let settings = Arc::new(settings);
        *self
            .handle
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        drop(
            self.handle
                .events
                .send(SupervisorEvent::Settings(settings))
                .await,
        );
    }
}

/// What others read about the holder of the lock.
#[must_use]
pub fn role(foreground: bool) -> &'static str {
    if foreground {
        "a foreground run (auto-claude run)"
    } else {
        "a daemon (auto-claude serve)"
    }
}

fn owner(foreground: bool) -> std::io::Result<Option<Owner>> {
    if !foreground {
        return Ok(None);
    }
    let stamp = stamp_of(i32::try_from(std::process::id()).map_err(std::io::Error::other)?)?;
    Ok(Some(Owner {
        pid: stamp.pid,
        start_ticks: stamp.start_ticks,
    }))
}
