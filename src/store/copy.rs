//! A copy of all events of one state, that outlives the reading transaction.
//!
//! While a transaction is open, pages that later writes free stay in use; so nobody may hold one for as long as a client
//! takes to read everything. The blocks are copied as they are, packed, into a file that has no name, which takes about as long as
//! reading them; then they are unpacked one by one, as slowly as somebody likes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;

use super::blocks::{count_and_last_id, decode_events};
use super::index_pages::Place;
use super::snapshot::Snapshot;
use super::tables::BlockKey;
use super::{Corrupt, StoreError, tables};
use crate::events::{ChoiceId, Choices, Event, EventKind};
use crate::time::Date;

/// All definitions and events of one state.
#[derive(Debug)]
pub struct Copy {
    choices: Arc<Choices>,
    events: u64,
    file: BufReader<File>,
    blocks_left: u64,
}

/// Where the events of a block are kept, and of which kind they are.
pub(super) fn home_of(key: BlockKey) -> Result<(Place, EventKind), Corrupt> {
    let kind = EventKind::ALL.get(usize::from(key.kind)).ok_or(Corrupt("a block has an unknown kind"))?;
    if (key.days, key.choice) == (0, 0) {
        return Ok((None, *kind));
    }
    let date = Date::from_days(key.days).ok_or(Corrupt("a date is wrong"))?;
    let choice = ChoiceId::new(key.choice).ok_or(Corrupt("the id of a choice is wrong"))?;
    Ok((Some((date, choice)), *kind))
}

impl Snapshot {
    /// Copies everything that was posted into a file without a name in that directory; in that for temporary files where it is
    /// gone, as then the open database may be all that is left.
    pub fn copy(&self, directory: &Path) -> Result<Copy, StoreError> {
        self.guard().run(|| {
            let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
            let file = match tempfile::tempfile_in(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => tempfile::tempfile(),
                file => file,
            };
            let mut out = BufWriter::with_capacity(1 << 20, file.map_err(failed)?);
            let (mut events, mut blocks) = (0, 0);
            for row in self.table(tables::BLOCKS)?.iter()? {
                let (key, block) = row?;
                let (key, block) = (key.value(), block.value());
                if home_of(key)?.0.is_some_and(|(date, _)| date < self.kept().events_from) {
                    continue;
                }
                events += count_and_last_id(block)?.0 as u64;
                blocks += 1;
                let length = u32::try_from(block.len()).map_err(|_| Corrupt("a block is too large"))?;
                let head = [&key.days.to_le_bytes()[..], &key.choice.to_le_bytes(), &[key.kind], &length.to_le_bytes()];
                head.iter()
                    .try_for_each(|part| out.write_all(part))
                    .and_then(|()| out.write_all(block))
                    .map_err(failed)?;
            }
            let mut file = out.into_inner().map_err(|error| failed(error.into_error()))?;
            file.rewind().map_err(failed)?;
            let file = BufReader::with_capacity(1 << 18, file);
            Ok(Copy { choices: Arc::clone(self.choices()), events, file, blocks_left: blocks })
        })
    }
}

impl Copy {
    /// The definitions.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The events of the next block; `None` behind the last.
    pub fn next_events(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        if self.blocks_left == 0 {
            return Ok(None);
        }
        self.blocks_left -= 1;
        let mut block = Vec::new();
        let mut read = || -> io::Result<BlockKey> {
            let key = BlockKey {
                days: u32::from_le_bytes(self.take()?),
                choice: u64::from_le_bytes(self.take()?),
                kind: u8::from_le_bytes(self.take()?),
                lower: 0,
            };
            block.resize(u32::from_le_bytes(self.take()?) as usize, 0);
            self.file.read_exact(&mut block)?;
            Ok(key)
        };
        let (place, kind) = home_of(read().map_err(StoreError::Copy)?)?;
        Ok(Some(decode_events(place, kind, &block)?))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
