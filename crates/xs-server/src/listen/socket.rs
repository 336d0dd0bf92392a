//! A Unix socket that only its owner can open.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
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
        let hint = if error.kind() == io::ErrorKind::InvalidInput { " (its path may be too long)" } else { "" };
        Error::io(format_args!("listening at {}{hint}", path.display()), error)
    };
    let taken = |what: &str| Err(Error::new(ErrorKind::InvalidInput, format!("{} is {what}", path.display())));
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return taken("there already, and no socket"),
        Ok(_) if UnixStream::connect(path).is_ok() => return taken("a socket that somebody listens at"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(doing(error)),
    }
    let private = path.with_file_name(format!(".s{}", std::process::id()));
    let inside = private.join("s");
    let make = || DirBuilder::new().mode(0o700).create(&private);
    match make() {
        // Left by a process of this number that was killed right here, as numbers repeat in a container.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let _ = fs::remove_file(&inside);
            fs::remove_dir(&private).and_then(|()| make()).map_err(doing)?;
        }
        made => made.map_err(doing)?,
    }
    let bound = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&inside)?.ino();
        fs::rename(&inside, path)?;
        Ok((listener, Socket { path: path.to_owned(), inode }))
    });
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&private);
    bound.map_err(doing)
}
