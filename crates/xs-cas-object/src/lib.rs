//! Content on object storage: S3 and what speaks it, Azure Blob, Google Cloud, and for trials memory
//! and a local folder.
//!
//! ```text
//! <prefix>/xs.json                       what the prefix holds: {"format":1}
//! <prefix>/content/ab/<62 digits>        content: its bytes and nothing else, named by its digest
//! <prefix>/sums/<64 digits>              checksums of the chunks of content above 1 MiB
//! <prefix>/uploads/<64 digits>-<random>  an upload in parts that is under way
//! ```
//!
//! **In.** A key can be written only once its name, the hash, is known. Content of up to
//! `part_bytes` is kept in memory, larger content in a temporary file of at most `spool_bytes_max`
//! beside the index, which has no name and so leaves nothing behind, also when the process is
//! killed. Then it is put under its own key: in one create-only put, or in parallel parts of one
//! upload, which shows nothing until it is completed. The other way, parts under a staging key
//! while the content comes in, needs no disk but a copy of each object within the store, which S3
//! refuses above 5 GiB, and leaves whole objects behind where a process is killed.
//!
//! An upload that was not completed costs money and is not listed. So its id is noted in an object
//! of its own while it is under way, written again from time to time; whoever opens the store, or has
//! it open and writes to it, looks every hour, and aborts what has a note older than `abandoned_ms`. Between the answer to its creation and the note a kill still leaves
//! one behind: have a rule of the bucket's life cycle abort incomplete uploads as well.
//!
//! **Twice.** Equal keys hold equal bytes, so two writers of the same content do no harm, also where
//! a server ignores that a put is create-only. Content that is there already is read back; if it is
//! damaged, or was stored longer than an hour ago, it is put again, so that the time of its last
//! storing is right to an hour.
//!
//! **Out.** What is read whole is hashed on the way, and the last chunk held back until the hash was
//! found right. A range reads only the chunks that it touches, and compares them with their
//! checksums (XXH3, 128 bits): that finds damage, but not a forger, who could write the checksums
//! too. Without checksums a range reads the whole.
//!
//! Several stores may share a prefix, and so each other's content.
//!
//! ```
//! use xs_cas_object::ObjectCasFactory;
//! use xs_core::{ByteRange, CasFactory, Create, Location};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! // s3://bucket/prefix, az://container/prefix, gs://bucket/prefix, file:folder or memory:name
//! let location = Location::new("memory", dir.path()).remote("trial");
//! let cas = ObjectCasFactory::memory().open(&location, Create::IfMissing).await?;
//! let mut writer = cas.writer().await?;
//! writer.write("hello".into()).await?;
//! let hash = writer.finish().await?;
//! assert_eq!(cas.reader(hash, ByteRange::FULL).await?.bytes().await?, "hello");
//! cas.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! As the query of the URL (`s3://bucket/prefix?region=eu-north-1`) or in `xs.toml` under
//! `[cas-settings]`; one that is unknown is refused.
//!
//! | setting | for | default | |
//! | --- | --- | --- | --- |
//! | `endpoint` | all | the provider's own | `https://host:port`; `http://` is taken at its word |
//! | `region` | s3 | `us-east-1` | |
//! | `path_style` | s3 | `true` | the bucket in the path, not in the host name |
//! | `credentials` | s3 | `env` | `env`; `instance`: ask the machine's metadata service; `none`: unsigned |
//! | `account` | az | | the storage account |
//! | `ca_file` | s3, az, gs | | certificates in PEM to trust beside the system's |
//! | `timeout_ms` | s3, az, gs | 10000 | the longest that a call goes on without success, retries included; more for many bytes |
//! | `connect_timeout_ms` | s3, az, gs | 3000 | |
//! | `retries` | s3, az, gs | 5 | after server errors and broken connections, with back-off from 100 ms to 2 s |
//! | `part_bytes` | all | 5242880 | of an upload; at least 5 MiB for most servers; what a writer of large content holds is this times `parallel`: 15 MiB |
//! | `parallel` | all | 3 | parts, or ranges of 1 MiB, that one stream sends or reads at once |
//! | `spool_bytes_max` | all | 68719476736 | the largest content |
//! | `abandoned_ms` | all | 86400000 | after which an upload is taken for abandoned |
//!
//! Credentials are no settings: they come from the environment, by the names that the tools of the
//! provider use (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
//! `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, `AWS_CA_BUNDLE`, web identity and container
//! credentials; `AZURE_STORAGE_ACCOUNT_KEY` and its kin; `GOOGLE_SERVICE_ACCOUNT`,
//! `GOOGLE_APPLICATION_CREDENTIALS`). They are in no error and no log.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

mod backend;
mod cas;
mod error;
mod factory;
mod layout;
mod reader;
mod remote;
mod settings;
mod sums;
mod upload;
mod writer;

pub use cas::ObjectCas;
pub use factory::ObjectCasFactory;
pub use settings::ObjectSettings;
