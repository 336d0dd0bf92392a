//! Each kind of object storage as object_store has it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};
use xs_core::{Create, Error, ErrorKind, Location, Result, dirs};

use crate::error::convert;
use crate::remote::allowance;
use crate::settings::{Credentials, ObjectSettings, check_endpoint};

/// One object storage, as far as this crate tells them apart.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Uploads in parts that can be aborted by whoever knows their id.
    pub(crate) multipart: Option<Arc<dyn MultipartStore>>,
    /// The folder, of a local one.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) persistent: bool,
}

impl fmt::Debug for Backend {
    // What object_store says of itself may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// The bucket, or folder, and the prefix of a location; `InvalidInput` where it has none.
pub(crate) fn split(location: &Location) -> Result<(String, Path)> {
    let Location { scheme, remote, .. } = location;
    if remote.contains('@') {
        return Err(invalid(format!("the URL of {scheme} holds credentials: put them into the environment")));
    }
    if scheme == "file" {
        let place = location.place.to_str().filter(|_| remote.is_empty());
        return match (place, std::path::Path::new(remote).is_absolute()) {
            (Some(place), _) => Ok((place.to_owned(), Path::default())),
            (None, true) => Ok((remote.clone(), Path::default())),
            (None, false) => Err(invalid(format!("file:{remote} is not absolute: say file:/some/folder"))),
        };
    }
    let (bucket, prefix) = remote.split_once('/').unwrap_or((remote, ""));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    if (bucket.is_empty() && scheme != "memory") || !bucket.chars().all(allowed) {
        return Err(invalid(format!("the URL of {scheme} names no bucket: say {scheme}://bucket/prefix")));
    }
    if prefix.starts_with('/') {
        return Err(invalid(format!("the URL of {scheme} has an empty name in its prefix")));
    }
    let parsed = Path::parse(prefix.trim_end_matches('/'));
    let prefix = parsed.map_err(|error| invalid(format!("the URL of {scheme} has a bad prefix: {error}")))?;
    Ok((bucket.to_owned(), prefix))
}

/// Credentials of S3 that a program gives.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The storage at a location. `memory` is what is there in memory.
pub(crate) fn connect(
    location: &Location,
    settings: &ObjectSettings,
    keys: Option<&Keys>,
    create: Create,
    memory: impl FnOnce() -> Option<Arc<InMemory>>,
) -> Result<Backend> {
    let (bucket, _) = split(location)?;
    let place = location.to_string();
    let doing = |error| convert("opening", true, &place, &error);
    let remote = |store: Arc<dyn ObjectStore>, multipart: Arc<dyn MultipartStore>| Backend {
        store,
        multipart: Some(multipart),
        folder: None,
        persistent: true,
    };
    match location.scheme.as_str() {
        "s3" => {
            let store = Arc::new(s3(&bucket, settings, keys)?.build().map_err(doing)?);
            Ok(remote(store.clone(), store))
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            if let Some(account) = &settings.account {
                builder = builder.with_account(account);
            }
            if let Some(endpoint) = &settings.endpoint {
                builder = builder.with_endpoint(endpoint.clone());
            }
            let options = client_options(settings, settings.endpoint.as_deref(), None)?;
            let builder = builder.with_client_options(options).with_retry(retry(settings));
            let store = Arc::new(builder.build().map_err(doing)?);
            Ok(remote(store.clone(), store))
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            if let Some(endpoint) = &settings.endpoint {
                builder = builder.with_base_url(endpoint);
            }
            let options = client_options(settings, settings.endpoint.as_deref(), None)?;
            let builder = builder.with_client_options(options).with_retry(retry(settings));
            let store = Arc::new(builder.build().map_err(doing)?);
            Ok(remote(store.clone(), store))
        }
        "memory" => {
            let missing = || Error::new(ErrorKind::NotFound, format!("no content store is in {place}"));
            let store = memory().ok_or_else(missing)?;
            Ok(Backend { persistent: false, ..remote(store.clone(), store) })
        }
        "file" => {
            let folder = PathBuf::from(bucket);
            match create {
                Create::IfMissing => dirs::create_all(&folder)
                    .map_err(|error| Error::io(format_args!("creating {}", folder.display()), error))?,
                Create::Never if !folder.is_dir() => {
                    return Err(Error::new(ErrorKind::NotFound, format!("no content store is in {place}")));
                }
                Create::Never => {}
            }
            // Without this nothing would be durable when its hash is returned (C1).
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(doing)?.with_fsync(true);
            Ok(Backend { store: Arc::new(store), multipart: None, folder: Some(folder), persistent: true })
        }
        other => Err(Error::new(ErrorKind::Unsupported, format!("{other} is no object storage that is known here"))),
    }
}

fn s3(bucket: &str, settings: &ObjectSettings, given: Option<&Keys>) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(Keys { id, secret }) = given {
        // In place of all that the environment says, a session's token included.
        let given = AwsCredential { key_id: id.clone(), secret_key: secret.clone(), token: None };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(given)));
    }
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
    }
    let keys = [AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::SecretAccessKey].map(value);
    let others = [
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ]
    .map(value);
    match settings.credentials {
        Credentials::None => builder = builder.with_skip_signature(true),
        Credentials::Instance => {}
        // Asking a metadata service that is not there would take seconds, and say nothing of the cause.
        _ if given.is_some() => {}
        Credentials::Env if keys.iter().all(Option::is_none) && others.iter().all(Option::is_none) => {
            return Err(invalid(format!(
                "s3://{bucket}: no credentials are in the environment: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
                 (`aws configure export-credentials --format env` prints those of a profile), or say \
                 credentials=instance or credentials=none"
            )));
        }
        Credentials::Env if keys.iter().filter(|key| key.is_some()).count() == 1 => {
            return Err(invalid(format!(
                "s3://{bucket}: of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is in the environment"
            )));
        }
        Credentials::Env => {}
    }
    let bundle = std::env::var("AWS_CA_BUNDLE").ok();
    let options = client_options(settings, endpoint.as_deref(), bundle)?;
    Ok(builder
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_client_options(options)
        .with_retry(retry(settings)))
}

fn client_options(settings: &ObjectSettings, endpoint: Option<&str>, bundle: Option<String>) -> Result<ClientOptions> {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(settings.connect_timeout)
        .with_timeout(settings.timeout + allowance(settings.part_bytes as u64));
    if let Some(file) = settings.ca_file.clone().or(bundle) {
        let pem = std::fs::read(&file).map_err(|error| Error::io(format_args!("reading {file}"), error))?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(invalid(format!("{file} holds no certificates in PEM")));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retry(settings: &ObjectSettings) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: std::time::Duration::from_millis(100),
            max_backoff: std::time::Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: settings.retries,
        retry_timeout: settings.timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_typo_is_refused() {
        for (scheme, remote) in [
            ("s3", ""),
            ("s3", "/prefix"),
            ("s3", "bucket/../other"),
            ("s3", "bucket//x"),
            ("s3", "buc ket"),
            ("s3", "key:hunter2@bucket"),
            ("s3", "key:hunter2/bucket"),
            ("file", "relative/folder"),
        ] {
            let error = split(&Location::new(scheme, "place").remote(remote)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{remote}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let (bucket, prefix) = split(&Location::new("s3", "place").remote("bucket/some/prefix/")).unwrap();
        assert_eq!((bucket.as_str(), prefix.as_ref()), ("bucket", "some/prefix"));
    }
}
