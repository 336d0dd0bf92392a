//! Directories whose names survive the power.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

/// Makes a directory and what is missing above it, and makes their names durable. One that is there
/// already is no error.
pub fn create_all(dir: &Path) -> io::Result<()> {
    create(dir, &DirBuilder::new())
}

/// As [`create_all`], and closed to everybody but its owner, where the system knows of such: what is stored is for
/// its owner to show. One that is there already stays as it is, and those above it are made as usual.
pub fn create_private(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    create(dir, &builder)
}

fn create(dir: &Path, builder: &DirBuilder) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    create_all(parent)?;
    match builder.create(dir) {
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
    use std::fs;

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

    #[cfg(unix)]
    #[test]
    fn a_private_one_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = std::env::temp_dir().join(format!("xs-private-{}", std::process::id()));
        let mode = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        create_private(&dir.join("above/private")).unwrap();
        create_private(&dir.join("above/private")).unwrap();
        assert_eq!(mode(&dir.join("above/private")), 0o700);
        assert_eq!(mode(&dir.join("above")), mode(&dir));
        // What somebody has chosen is theirs.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        create_private(&dir).unwrap();
        assert_eq!(mode(&dir), 0o755);
        fs::remove_dir_all(dir).unwrap();
    }
}
