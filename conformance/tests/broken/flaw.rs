//! What is broken: each flaw is the name of a trial, after the guarantee that it breaks.

/// What an index does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreFlaw {
    /// Nothing: the control.
    None,

    // What is stored.
    /// Stores each frame of a batch in a commit of its own, and so what comes before a refused one.
    CommitsFrameByFrame,
    /// Stores the last frame of a batch only with the next batch, or when it is closed.
    HoldsBackTheLastFrame,
    /// Stores the first frame of a batch, and forgets the others.
    KeepsOnlyTheFirstFrame,
    /// Finds neither in a get nor in a commit that the newest id is taken, and puts the new frame in
    /// place of the stored one.
    OverwritesUnderATakenId,
    /// Finds only in a commit that the newest id is taken, and reports that as if a write had failed.
    ReportsARefusalAsAFailure,
    /// Acknowledges a batch, and stores it with the next one, or when it is closed.
    StoresWithTheNextCommit,
    /// Has lost the newest frame when it is opened again.
    LosesTheNewestOnReopen,
    /// Keeps `Buffered` batches in the memory of the process until it is closed.
    KeepsBufferedInMemory,
    /// Commits `Sync` batches as if they were `Buffered`.
    SyncsNothing,
    /// Tells a sync that was not.
    MakesUpASync,
    /// Syncs once for each frame of a batch.
    SyncsForEachFrame,
    /// Acknowledges a batch whose sync failed.
    AcknowledgesAFailedSync,
    /// Shows the frames of a commit that failed.
    ShowsAFailedCommit,
    /// Parses metas, and stores the values instead of the texts.
    KeepsMetaAsAValue,
    /// Stores `forever` where no TTL was given.
    SpellsOutTheTtl,

    // What is removed.
    /// Removes nothing in a batch that also inserts.
    IgnoresRemovalsBesideInserts,
    /// Refuses a batch that removes what is not there.
    RefusesToRemoveWhatIsMissing,
    /// Still gets a frame by its id after it was removed.
    KeepsTheRecord,
    /// Still finds a removed frame by its topic.
    KeepsTheTopicEntry,
    /// Still finds a removed frame by a name that its topic lies below.
    KeepsTheAncestorEntry,
    /// Still says that a removed frame is due to expire.
    KeepsTheExpiryEntry,
    /// Still says that a removed frame refers to its content.
    KeepsTheContentEntry,
    /// Has removed frames again when it is opened again.
    BringsTheRemovedBack,
    /// Takes the newest stored frame for the newest that ever was.
    ForgetsTheLastIdOfTheRemoved,

    // What is read.
    /// Goes on saying that a frame is not there once it has said so.
    RemembersWhatWasMissing,
    /// Gives frames without their TTLs.
    GivesNoTtl,
    /// Gives the first two frames of a page in the wrong order.
    SwapsTwoFrames,
    /// Scans oldest first, whatever was asked.
    IgnoresTheDirection,
    /// Fills a page with everything that there is.
    IgnoresTheLimit,
    /// Fills a page up to its limit, however heavy its frames are.
    IgnoresTheBytes,
    /// Gives the frame at a bound that excludes it.
    TakesExcludedForIncluded,
    /// Scans on beyond the end of an ascending range.
    ReadsBeyondTheEnd,
    /// Resumes a scan after so many frames, instead of after an id.
    PagesByPosition,
    /// Says of every page that it is the last.
    SaysCompleteTooEarly,
    /// Misses the newest frame of a topic when it scans the topic newest first.
    LagsInATopic,
    /// Takes `a.*` for every topic whose text starts with `a`.
    TakesAPrefixForAName,
    /// Takes `a.*` for the topics one level below `a`.
    LooksOneLevelDeep,

    // Who owns it, and what it finds when it is opened.
    /// Opens the same place for a second owner.
    LetsTwoOwnersIn,
    /// Keeps its lock when it is closed, until it is dropped.
    KeepsItsLock,
    /// Takes a while to close, and does not let the next owner wait for that.
    ClosesUnannounced,
    /// Makes a store where it was told never to.
    MakesUpAMissingStore,
    /// Makes an empty store in place of a damaged one.
    StartsAnewAfterDamage,
    /// Reports damage as a defect of the program.
    CallsDamageADefect,
    /// Opens a store of a newer format as if it were its own.
    ReadsANewerFormat,
    /// Refuses a store of a newer format, after it has changed it.
    ChangesANewerFormat,
    /// Refuses a newer format without saying which.
    NamesNoVersions,
}

/// What a content store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CasFlaw {
    /// Nothing: the control.
    None,
    /// Has lost some content when it is opened again.
    LosesContentOnReopen,
    /// Names content that is in no more than the page cache.
    SyncsNothing,
    /// Syncs the file of content, and not the directory with its name.
    SyncsNoName,
    /// Gives out whatever bytes are stored.
    VerifiesNothing,
    /// Gives out all bytes, and says afterwards that they were damaged.
    VerifiesTooLate,
    /// Stores nothing where a file has the right name, whatever is in it.
    KeepsWhatIsThere,
    /// Stores the same content once more for each writer.
    StoresACopyPerWriter,
    /// Gives all content as one chunk.
    GivesItAllAtOnce,
    /// Gathers all content in memory before it writes any.
    GathersInMemory,
    /// Gives all of the content, whatever range was asked.
    IgnoresTheRange,
    /// Gives the byte at the end of a range too.
    IncludesTheEnd,
    /// Takes content that is not there for empty content.
    TakesMissingForEmpty,
    /// Lists what has been written so far of content that is not finished.
    ShowsContentWhileItIsWritten,
    /// Never clears what an abandoned writer has written.
    LeavesWhatWasAbandoned,
    /// Skips the first content of every page but the first.
    SkipsAtThePagesEdge,
    /// Lists the first content twice.
    ListsTheFirstTwice,
    /// Lists content without its time.
    ListsNoTime,
    /// Finds it an error to remove what is not there.
    RefusesASecondRemoval,
    /// Removes nothing.
    IgnoresRemovals,
    /// Writes into the directory beside its own.
    WritesOutside,
}
