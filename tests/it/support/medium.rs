//! Where a test keeps a database instead of a file: memory, with a hook that may wait or panic.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use scale_metrics::store::StorageBackend;

/// What the database does with its medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Sync,
}

/// Clones are the same memory.
#[derive(Clone)]
pub(crate) struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    hook: Arc<dyn Fn(Op) + Send + Sync>,
}

impl Memory {
    /// Empty memory that calls `hook` before everything that is done.
    pub(crate) fn with_hook(hook: impl Fn(Op) + Send + Sync + 'static) -> Self {
        Self { bytes: Arc::default(), hook: Arc::new(hook) }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        (self.hook)(Op::Read);
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock().unwrap()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.hook)(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        (self.hook)(Op::Write);
        let start = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}
