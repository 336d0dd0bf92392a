//! The built-in parts: one line for each feature.

use xs_core::Registry;

/// The index that a new store gets when none is named.
pub(crate) const DEFAULT_INDEX: &str = "fjall";
/// The content store that a new store gets when none is named.
pub(crate) const DEFAULT_CAS: &str = "fs";

/// A registry of the factories whose features are on, to which a program adds its own.
///
/// ```
/// let registry = xs::registry();
/// # #[cfg(feature = "fjall")]
/// assert!(registry.store("fjall").is_ok());
/// ```
pub fn registry() -> Registry {
    #[allow(unused_mut)]
    let mut registry = Registry::new();
    #[cfg(feature = "fjall")]
    registry.register_store(std::sync::Arc::new(xs_backend_fjall::FjallFactory::default()));
    #[cfg(feature = "cas-fs")]
    registry.register_cas(std::sync::Arc::new(xs_cas_fs::FsCasFactory));
    registry
}
