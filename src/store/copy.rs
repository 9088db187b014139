//! A copy of all events of one state, which does not need an open transaction.
//!
//! While a transaction is open, pages that later writes free cannot be used again. So no request may hold a transaction for as
//! long as a client takes to read everything. The packed blocks are copied unchanged into a file without a name, which takes
//! about as long as reading them. Then they are unpacked one by one, as slowly as the client reads.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::blocks::{count_and_last_id, decode_events};
use super::codec::Corrupt;
use super::error::StoreError;
use super::keys::{BlockKey, TableKey as _};
use super::location::BlockPrefix;
use super::reads::scan;
use super::snapshot::Snapshot;
use crate::events::{Choices, Event};

/// All definitions and events of one state.
#[derive(Debug)]
pub struct EventCopy {
    choices: Arc<Choices>,
    events: u64,
    file: BufReader<File>,
    blocks_left: u64,
}

impl Snapshot {
    /// Copies all definitions and events into a file without a name in `directory`. If that directory is gone, the file is in the
    /// directory for temporary files: the open database may then be the only remaining data.
    pub fn copy(&self, directory: &Path) -> Result<EventCopy, StoreError> {
        let failed = |source| StoreError::NoCopy { directory: directory.to_owned(), source };
        let file = match tempfile::tempfile_in(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => tempfile::tempfile(),
            file => file,
        };
        let mut out = BufWriter::with_capacity(1 << 20, file.map_err(failed)?);
        let (mut events, mut blocks) = (0, 0);
        scan(self.rows(), .., |key: BlockKey, block| {
            let (bytes, location) = (key.key(), BlockPrefix::of_block(key)?.location);
            if location.is_none_or(|(date, _)| date >= self.kept().events_from) {
                events += count_and_last_id(block)?.0 as u64;
                blocks += 1;
                let length = u32::try_from(block.len()).map_err(|_| Corrupt("a block is too large"))?;
                let parts = [bytes.as_bytes(), &length.to_le_bytes(), block];
                parts.iter().try_for_each(|part| out.write_all(part)).map_err(failed)?;
            }
            Ok::<_, StoreError>(())
        })?;
        let mut file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(EventCopy { choices: Arc::clone(self.definitions()), events, file, blocks_left: blocks })
    }
}

impl EventCopy {
    /// Returns the definitions.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Returns the number of events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the events of the next block; `None` after the last one.
    pub fn next_events(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        if self.blocks_left == 0 {
            return Ok(None);
        }
        self.blocks_left -= 1;
        let mut block = Vec::new();
        let mut read = || -> io::Result<[u8; BlockKey::BYTES]> {
            let key = self.take()?;
            block.resize(u32::from_le_bytes(self.take()?) as usize, 0);
            self.file.read_exact(&mut block)?;
            Ok(key)
        };
        let key = read().map_err(StoreError::Copy)?;
        Ok(Some(decode_events(BlockPrefix::of_block(BlockKey::read(&key)?)?, &block)?))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
