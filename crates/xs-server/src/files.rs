//! Small files that the operator writes: tokens, certificates, keys.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

use xs::{Error, ErrorKind, Result};

use crate::limits::SECRETS_BYTES_MAX;

/// The bytes of such a file, and who may read it.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Metadata)> {
    let doing = |error| Error::io(format_args!("reading {}", path.display()), error);
    let file = File::open(path).map_err(doing)?;
    let metadata = file.metadata().map_err(doing)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells what is too large from what just fits.
    file.take(SECRETS_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(doing)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= SECRETS_BYTES_MAX => Ok((bytes, metadata)),
        _ => {
            let message = format!("{} is larger than {SECRETS_BYTES_MAX} bytes", path.display());
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
}

/// Warns about a secret that is not only its owner's.
pub(crate) fn warn_of_readers(path: &Path, metadata: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            tracing::warn!(%path, mode = %format_args!("{mode:03o}"), "others than its owner have access to this secret");
        }
    }
    #[cfg(not(unix))]
    let _ = (path, metadata);
}
