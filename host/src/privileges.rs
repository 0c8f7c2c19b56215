//! Giving up the rights of root once the sockets are bound.
//!
//! **For good, and before anything is read or written that counts**: what the host's
//! user cannot read (a key, a tenant) is found at the start and not at the first
//! reload, and what is written belongs to that user. Everything that comes from
//! clients, tenants or modules comes after.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use crate::config::{Fault, Located, ProcessConfig};
use crate::directory;

/// Somebody whom the process can become.
#[derive(Clone, Debug)]
pub struct Account {
    name: CString,
    user: u32,
    group: u32,
}

/// Why the process is still who it was, or worse, and must not go on.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Not root, and somebody else.
    #[error(
        "process.user: only root can become {wanted:?}: start the host as root or as that user, or leave user out"
    )]
    NotRoot {
        /// Whom it should become.
        wanted: String,
    },
    /// The data directory cannot be handed over.
    #[error("data directory {path}: {source}")]
    DataDirectory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot become {wanted:?}: {step}: {source}")]
    Refused {
        /// Whom it should become.
        wanted: String,
        /// The system call.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The process could become root again.
    #[error("the rights of root are not gone after they were given up")]
    Kept,
}

/// Whom the configuration names, if anybody.
///
/// # Errors
/// There is no such user or group, or it is root.
pub fn account(config: &ProcessConfig) -> Result<Option<Account>, Vec<Fault>> {
    let Some(user) = &config.user else {
        return Ok(None);
    };
    let found = found(user, uzers::get_user_by_name(&user.value), "user");
    let group = config.group.as_ref();
    let group =
        group.map(|group| self::found(group, uzers::get_group_by_name(&group.value), "group"));
    let (found, group) = match (found, group.transpose()) {
        (Ok(found), Ok(group)) => (found, group),
        (found, group) => return Err(found.err().into_iter().chain(group.err()).collect()),
    };
    if found.uid() == 0 {
        let message = "the host must not be root once it listens: name a user of its own";
        return Err(vec![user.at.fault(message)]);
    }
    Ok(Some(Account {
        name: CString::new(user.value.as_str()).expect("the configuration refuses names with NUL"),
        user: found.uid(),
        group: group.map_or(found.primary_group_id(), |group| group.gid()),
    }))
}

fn found<T>(named: &Located<String>, found: Option<T>, what: &str) -> Result<T, Fault> {
    let name = &named.value;
    found.ok_or_else(|| {
        let message = format!("there is no {what} {name:?}: add it, or name another");
        named.at.fault(message)
    })
}

/// Whether this process has the rights of root.
pub fn is_root() -> bool {
    uzers::get_effective_uid() == 0
}

impl Account {
    /// Becomes this user, with the user's groups, in all threads and for good. A data
    /// directory that is not there is made, and handed over.
    ///
    /// # Errors
    /// When that cannot be done; the process must end then.
    pub fn assume(&self, data_dir: &Path) -> Result<(), PrivilegeError> {
        if !is_root() {
            return if uzers::get_effective_uid() == self.user {
                Ok(())
            } else {
                Err(PrivilegeError::NotRoot {
                    wanted: self.wanted(),
                })
            };
        }
        self.hand_over(data_dir)
            .map_err(|source| PrivilegeError::DataDirectory {
                path: data_dir.to_owned(),
                source,
            })?;
        // In this order: without the user root, groups can no longer be set.
        let Self { name, user, group } = self;
        self.step("initgroups", process::set_groups(name, *group))?;
        self.step("setresgid", process::set_group(*group))?;
        self.step("setresuid", process::set_user(*user))?;
        if is_root() || process::set_user(0).is_ok() {
            return Err(PrivilegeError::Kept);
        }
        Ok(())
    }

    /// What is there already has an owner whom the operator chose.
    fn hand_over(&self, data_dir: &Path) -> io::Result<()> {
        if data_dir.is_dir() {
            return Ok(());
        }
        directory::make(data_dir)?;
        chown(data_dir, Some(self.user), Some(self.group))
    }

    fn step(&self, step: &'static str, done: io::Result<()>) -> Result<(), PrivilegeError> {
        done.map_err(|source| PrivilegeError::Refused {
            wanted: self.wanted(),
            step,
            source,
        })
    }

    fn wanted(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// The C library's calls, which change all threads of the process; the kernel's own,
/// which libraries without C make, change the one that calls.
mod process {
    #![expect(
        unsafe_code,
        reason = "nothing safe in the tree of dependencies does it"
    )]

    use std::ffi::CStr;
    use std::io;

    /// The groups of this user, and this one.
    pub(super) fn set_groups(user: &CStr, group: u32) -> io::Result<()> {
        // SAFETY: the name ends with NUL and outlives the call, which keeps nothing.
        done(unsafe { libc::initgroups(user.as_ptr(), group) })
    }

    /// Real, effective and saved.
    pub(super) fn set_group(group: u32) -> io::Result<()> {
        // SAFETY: no memory is involved.
        done(unsafe { libc::setresgid(group, group, group) })
    }

    /// Real, effective and saved.
    pub(super) fn set_user(user: u32) -> io::Result<()> {
        // SAFETY: no memory is involved.
        done(unsafe { libc::setresuid(user, user, user) })
    }

    fn done(result: libc::c_int) -> io::Result<()> {
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
