//! A Unix socket that only its owner can open.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use futures::future::FutureExt as _;
use tokio::net::{UnixListener, UnixStream};
use xs::{Error, ErrorKind, Result};

/// A socket in its place, and how it is told from another that took the place since.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Takes it away, unless another is in its place.
    pub(super) fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            // One that stays is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The socket is made in a directory that only its owner can enter, closed to others, and only then
/// put in its place: it is at no moment open to others. What is in its place already is replaced only
/// when it is a socket that nobody listens at.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, Socket)> {
    let doing = |error: io::Error| {
        // The only way for a path to be bad input to bind.
        let is_long = error.kind() == io::ErrorKind::InvalidInput;
        let hint = if is_long { " (its path is too long: choose a shorter one, or go there by a link)" } else { "" };
        Error::io(format_args!("listening at {}{hint}", path.display()), error)
    };
    let taken = |what: &str| Err(Error::new(ErrorKind::InvalidInput, format!("{} is {what}", path.display())));
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return taken("there already, and no socket"),
        // It is asked without waiting: somebody may listen there who does not accept.
        Ok(_) => match UnixStream::connect(path).now_or_never() {
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            // Gone in between.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                return taken(&format!("a socket of which nobody knows whether it is in use ({error})"));
            }
            _ => return taken("a socket that somebody listens at"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(doing(error)),
    }
    // Little longer than the path itself, so that it is not what makes it too long. Removed when it is dropped.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(3)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(doing)?;
    // Its own path is absolute, and who goes there may do so because that is too long.
    let inside = path.with_file_name(private.path().file_name().unwrap_or_default()).join("s");
    let bound = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&inside)?.ino();
        fs::rename(&inside, path)?;
        Ok((listener, Socket { path: path.to_owned(), inode }))
    });
    bound.map_err(doing)
}
