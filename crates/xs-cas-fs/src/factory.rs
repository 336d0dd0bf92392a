//! Opening a content store in a directory by location.

use std::sync::Arc;

use async_trait::async_trait;
use xs_core::{Cas, CasFactory, Create, Location, Result, blocking};

use crate::cas::FsCas;

/// Opens content stores in directories: the scheme `fs`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsCasFactory;

#[async_trait]
impl CasFactory for FsCasFactory {
    fn scheme(&self) -> &str {
        "fs"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        let dir = location.place.clone();
        blocking::run(move || Ok(Arc::new(FsCas::open(&dir, create)?) as Arc<dyn Cas>)).await
    }
}
