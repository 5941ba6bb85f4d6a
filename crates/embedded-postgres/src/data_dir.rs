//! The data directory: who owns it, who may enter it, and that one process at a time uses it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::{Uid, User};

use super::Error;
use super::error::DataDirContext;

/// The account that PostgreSQL runs as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Locked for this process until dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// The account to change to; `None` unless we are root.
    pub(super) account: Option<Account>,
    _lock: File,
}

impl DataDir {
    /// Creates `path` if it is missing, and locks it. As root it stays root's, and PostgreSQL's
    /// account may only pass through: in a directory of its own it could put links in the place of
    /// files that root opens.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            let parent = path.parent().unwrap_or(path);
            fs::create_dir_all(parent).context("create", parent)?;
            DirBuilder::new()
                .mode(0o700)
                .create(path)
                .context("create", path)?;
        }
        let path = path.canonicalize().context("open", path)?;
        let lock_file = path.join("lock");
        // Changing the mode of a directory with somebody else's files would lock them out.
        if !lock_file.exists() && !is_empty(&path)? {
            return Err(Error::Foreign(path));
        }
        let lock = open_own(OpenOptions::new().create(true).write(true), &lock_file)
            .context("write", &lock_file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(source).context("lock", lock_file),
        }
        // Root could go on, and would take the directory away from the account it belongs to.
        let uid = lock.metadata().context("read", &lock_file)?.uid();
        if uid != Uid::effective().as_raw() {
            return Err(Error::OtherAccount { dir: path, uid });
        }

        let account = account(&path)?;
        let mut mode = 0o700;
        if let Some(Account { uid, gid }) = account {
            if let Some(parent) = closed_parent(&path, uid, gid) {
                return Err(Error::Unreachable { parent, uid });
            }
            chown(&path, Some(0), Some(gid)).context("chown", &path)?;
            mode = 0o710;
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).context("chmod", &path)?;
        Ok(Self {
            path,
            account,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an empty directory for PostgreSQL's account.
    pub(super) fn give_directory(&self, path: &Path) -> Result<(), Error> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .context("create", path)?;
        match self.account {
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)).context("chown", path),
            None => Ok(()),
        }
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }
}

/// Opens a file of our own. A link, which may lead to somebody else's, is refused.
pub(super) fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options
        .truncate(false)
        .custom_flags(libc::O_NOFOLLOW)
        .mode(0o600)
        .open(path)
}

/// The beginning of a small file that PostgreSQL's account may have replaced by anything: a link
/// is not followed, and nothing is waited for.
pub(super) fn read_theirs(path: &Path) -> io::Result<String> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = String::new();
    file.take(4_096).read_to_string(&mut text)?;
    Ok(text)
}

/// A fresh volume counts as empty: it has `lost+found`.
fn is_empty(dir: &Path) -> Result<bool, Error> {
    for entry in fs::read_dir(dir).context("read", dir)? {
        if entry.context("read", dir)?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// PostgreSQL refuses to run as root. An existing cluster is run by its owner; a new one by
/// `postgres`, the account that PostgreSQL's packages make for exactly this (`_postgres` on macOS).
/// `nobody` would do too, but daemons share it, and each of them could read and change the
/// database.
fn account(data_dir: &Path) -> Result<Option<Account>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    if let Ok(cluster) = fs::symlink_metadata(data_dir.join("postgres"))
        && cluster.is_dir()
        && cluster.uid() != 0
    {
        return Ok(Some(Account {
            uid: cluster.uid(),
            gid: cluster.gid(),
        }));
    }
    ["postgres", "_postgres"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|User { uid, gid, .. }| {
            Some(Account {
                uid: uid.as_raw(),
                gid: gid.as_raw(),
            })
        })
        .ok_or(Error::NoAccount)
}

/// The topmost directory above `path` that the account may not enter.
fn closed_parent(path: &Path, uid: u32, gid: u32) -> Option<PathBuf> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    let closed = |parent: &&Path| {
        fs::metadata(parent).is_ok_and(|meta| {
            let search = match meta {
                _ if meta.uid() == uid => 0o100,
                _ if meta.gid() == gid => 0o010,
                _ => 0o001,
            };
            meta.mode() & search == 0
        })
    };
    parents.into_iter().find(closed).map(Path::to_owned)
}
