//! Directories whose names survive the power.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory and what is missing above it, and makes their names durable. One that is there
/// already is no error.
pub fn create_all(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    create_all(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        result => result?,
    }
    sync(parent)
}

/// Makes the names in a directory durable. Where the system cannot, renames are durable by
/// themselves or not at all.
pub fn sync(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match cfg!(unix) {
        true => File::open(dir)?.sync_all(),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_above_is_made_too() {
        let dir = std::env::temp_dir().join(format!("xs-dirs-{}", std::process::id()));
        let deep = dir.join("a/b/c");
        create_all(&deep).unwrap();
        create_all(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        assert!(create_all(&deep.join("file")).is_err() && create_all(&deep.join("file/below")).is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
