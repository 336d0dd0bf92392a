//! Keys from hashes and back. A hash is 32 bytes, so no key leaves the prefix (C10).

use object_store::path::Path;
use xs_core::ContentHash;

/// Shards that content is spread over, by the first byte of its digest.
pub(crate) const SHARDS: u16 = 256;

/// The keys of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    prefix: Path,
}

impl Layout {
    pub(crate) fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    pub(crate) fn marker(&self) -> Path {
        self.prefix.clone().join("xs.json")
    }

    /// Above all content.
    pub(crate) fn contents(&self) -> Path {
        self.prefix.clone().join("content")
    }

    pub(crate) fn shard(&self, number: u16) -> Path {
        self.contents().join(format!("{number:02x}"))
    }

    pub(crate) fn content(&self, hash: ContentHash) -> Path {
        let hex = hash.to_hex();
        let (shard, name) = hex.split_at(2);
        self.contents().join(shard).join(name)
    }

    pub(crate) fn sums(&self, hash: ContentHash) -> Path {
        self.prefix.clone().join("sums").join(hash.to_hex())
    }

    pub(crate) fn uploads(&self) -> Path {
        self.prefix.clone().join("uploads")
    }

    pub(crate) fn upload(&self, hash: ContentHash) -> Path {
        self.uploads().join(format!("{}-{:016x}", hash.to_hex(), fastrand::u64(..)))
    }

    /// The content under this key; `None` when it is no key of content.
    pub(crate) fn hash_of(&self, key: &Path) -> Option<ContentHash> {
        let mut parts = key.prefix_match(&self.contents())?;
        let (shard, name) = (parts.next()?, parts.next()?);
        match (shard.as_ref().len(), parts.next()) {
            (2, None) => ContentHash::from_hex(&format!("{}{}", shard.as_ref(), name.as_ref())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_give_back_their_hash_and_sort_as_hashes() {
        let layout = Layout::new(Path::from("some/prefix"));
        let mut hashes: Vec<_> = (0..40u8).map(|n| ContentHash::of(&[n])).collect();
        for hash in &hashes {
            assert_eq!(layout.hash_of(&layout.content(*hash)), Some(*hash));
        }
        let mut keys: Vec<_> = hashes.iter().map(|hash| layout.content(*hash)).collect();
        keys.sort();
        hashes.sort();
        assert_eq!(keys.iter().map(|key| layout.hash_of(key).unwrap()).collect::<Vec<_>>(), hashes);
        for key in ["some/prefix/content/ab", "some/prefix/content/ab/cd", "content/ab/cd", "some/prefix/xs.json"] {
            assert_eq!(layout.hash_of(&Path::from(key)), None);
        }
    }
}
