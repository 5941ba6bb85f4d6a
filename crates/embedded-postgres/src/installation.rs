//! The PostgreSQL that this machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use super::data_dir::read_theirs;

const MIN_MAJOR: u32 = 14;

/// Where distributions keep the binaries: a directory, the start of the names in it that end in a
/// version, and the directory of the binaries below that.
const USUAL_PLACES: &[(&str, &str, &str)] = &[
    // Debian, Ubuntu
    ("/usr/lib/postgresql", "", "bin"),
    // postgresql.org's packages for Red Hat and its relatives
    ("/usr", "pgsql-", "bin"),
    // SUSE, Gentoo
    ("/usr/lib", "postgresql", "bin"),
    // Alpine
    ("/usr/libexec", "postgresql", ""),
    // Homebrew on ARM, then on Intel
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// One directory with `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    pub(super) major: u32,
    bin: PathBuf,
}

impl Installation {
    /// The binaries in `bin`, if there are any that answer.
    fn open(bin: PathBuf) -> Option<Self> {
        let postgres = bin.join("postgres");
        if !postgres.is_file() || !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(postgres)
            .arg("--version")
            .env_clear()
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { major, bin })
    }

    /// The installation in `candidates` that made the cluster in `data`; for a new cluster, the
    /// first that is new enough.
    pub(super) fn choose(candidates: &[PathBuf], data: &Path) -> Result<Self, Error> {
        let installed = || candidates.iter().cloned().filter_map(Self::open);
        let cluster = read_theirs(&data.join("PG_VERSION"))
            .ok()
            .and_then(|version| version.trim().parse().ok());
        let chosen = match cluster {
            Some(cluster) => installed().find(|found| found.major == cluster),
            None => installed().find(|found| found.major >= MIN_MAJOR),
        };
        chosen.ok_or_else(|| {
            let mut found: Vec<u32> = installed().map(|found| found.major).collect();
            found.sort_unstable();
            found.dedup();
            match cluster {
                Some(cluster) if !found.is_empty() => Error::WrongVersion {
                    dir: data.to_owned(),
                    cluster,
                    found: found
                        .iter()
                        .map(u32::to_string)
                        .collect::<Vec<_>>()
                        .join(", "),
                },
                _ => Error::NotInstalled {
                    install: install_hint(
                        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
                    ),
                },
            }
        })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// Every directory that may hold PostgreSQL's binaries: `PATH`, `pg_config --bindir`, then the
/// distributions' usual places, newest version first.
pub(super) fn candidates() -> Vec<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the machine keeps its programs is not a setting"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && let Ok(bin) = String::from_utf8(output.stdout)
    {
        found.push(PathBuf::from(bin.trim()));
    }
    for (parent, prefix, bin) in USUAL_PLACES {
        found.extend(
            versions(Path::new(parent), prefix)
                .into_iter()
                .map(|dir| dir.join(bin)),
        );
    }
    found
}

/// The directories in `parent` that are named `prefix` and a version, newest first.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The major version in the output of `postgres --version`: `postgres (PostgreSQL) 15.18 (Debian
/// 15.18-0+deb12u1)`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// The command that installs PostgreSQL, from the text of `/etc/os-release`; macOS has no such
/// file.
fn install_hint(os_release: &str) -> String {
    let family: String = os_release
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="))
        })
        .map(|ids| format!("{} ", ids.trim_matches('"')))
        .collect();
    let command = family.split_whitespace().find_map(|id| match id {
        "debian" | "ubuntu" => Some("apt-get install postgresql"),
        "fedora" | "rhel" | "centos" => Some("dnf install postgresql-server"),
        "alpine" => Some("apk add postgresql"),
        "arch" => Some("pacman -S postgresql"),
        "suse" | "opensuse" => Some("zypper install postgresql-server"),
        _ => None,
    });
    match command {
        Some(command) => format!("install it with `{command}`"),
        None if cfg!(target_os = "macos") => "install it with `brew install postgresql`".to_owned(),
        None => "install your system's PostgreSQL server package".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn major_version_of_releases_and_pre_releases() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of("postgres (PostgreSQL) 14"), Some(14));
        assert_eq!(major_of("mysqld 8.0"), None);
    }

    #[test]
    fn newest_version_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "16", "pgsql-17", "17", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let names = |prefix| -> Vec<_> {
            versions(root.path(), prefix)
                .iter()
                .map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(""), ["17", "16", "9"]);
        assert_eq!(names("pgsql-"), ["pgsql-17"]);
    }

    #[test]
    fn the_package_is_named_as_the_system_names_it() {
        for (os_release, command) in [
            ("ID=debian\n", "apt-get install postgresql"),
            (
                "NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                "apt-get install postgresql",
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                "dnf install postgresql-server",
            ),
            ("ID=alpine\nVERSION_ID=3.22\n", "apk add postgresql"),
        ] {
            assert_eq!(
                install_hint(os_release),
                format!("install it with `{command}`")
            );
        }
    }

    #[test]
    fn without_binaries_the_error_names_the_package() {
        let error = Installation::choose(&[], Path::new("/nonexistent"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("no PostgreSQL 14 or newer found on this machine: install"),
            "{error}"
        );
    }
}
