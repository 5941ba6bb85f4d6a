//! The directory of the socket.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Error;
use super::data_dir::{Account, DataDir};
use super::error::DataDirContext;

/// Part of the socket's name; nothing listens on TCP.
pub(super) const PORT: u16 = 5432;
/// The longest path of a Unix socket that every system takes, in bytes (macOS 103, Linux 107).
const MAX_PATH_BYTES: usize = 103;

/// In the cluster, or in `/tmp` if that path is too long for a socket.
#[derive(Debug)]
pub(super) enum SocketDir {
    Cluster(PathBuf),
    Temporary(TempDir),
}

impl SocketDir {
    pub(super) fn new(data_dir: &DataDir, name: &str) -> Result<Self, Error> {
        let cluster = data_dir.postgres();
        let socket = cluster.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Self::Cluster(cluster));
        }
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in("/tmp")
            .context("make a directory in", "/tmp")?;
        if let Some(Account { uid, gid }) = data_dir.account {
            chown(dir.path(), Some(uid), Some(gid)).context("chown", dir.path())?;
        }
        Ok(Self::Temporary(dir))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Cluster(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }

    /// The server's setting is a comma-separated list; quotes keep a path with a comma in one
    /// piece.
    pub(super) fn setting(&self) -> OsString {
        let path = self.path().as_os_str().as_bytes();
        let mut setting = b"unix_socket_directories=\"".to_vec();
        for &byte in path {
            setting.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b'"')));
        }
        setting.push(b'"');
        OsString::from_vec(setting)
    }
}
