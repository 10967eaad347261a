//! Reading debug sections within a budget: of bytes, each of which is paid for, and of stack. When it is used up all reading
//! ends as if the section did.

use addr2line::gimli::{self, LittleEndian, Reader as _, ReaderOffsetId, SectionId};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// What is left for reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget(pub u64);

/// A byte of these makes much memory: rows of lines, declarations of entries.
const DEAR: u64 = 4;
/// What the parser may take of the stack.
const STACK: usize = 96 << 10;
thread_local! {
    /// What the reading on this thread may still take, and where its stack must not go below.
    static LEFT: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

impl Budget {
    /// Reads at the cost of this budget; 0 is left if it was not enough.
    pub fn spend<T>(&mut self, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let floor = crate::thread::stack_pointer().saturating_sub(STACK);
        LEFT.set((self.0, floor));
        let result = read();
        self.0 = LEFT.get().0;
        result
    }
}

/// Reads a section at the cost of the thread's budget.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    slice: gimli::EndianSlice<'static, LittleEndian>,
    price: u64,
}

impl Reader {
    pub fn new(section: SectionId, bytes: &'static [u8]) -> Self {
        let price = match section {
            SectionId::DebugLine | SectionId::DebugAbbrev => DEAR,
            _ => 1,
        };
        Self {
            slice: gimli::EndianSlice::new(bytes, LittleEndian),
            price,
        }
    }

    #[inline]
    fn pay(&self, bytes: usize) -> gimli::Result<()> {
        let (left, floor) = LEFT.get();
        let price = self.price * (1 + bytes as u64);
        if left <= price || crate::thread::stack_pointer() < floor {
            LEFT.set((0, floor));
            return Err(gimli::Error::UnexpectedEof(self.offset_id()));
        }
        LEFT.set((left - price, floor));
        Ok(())
    }

    /// The text, cut at a length.
    pub fn name(&self, len: usize) -> Option<String> {
        let bytes = self.slice.slice();
        let bytes = &bytes[..bytes.len().min(len)];
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.slice.len())
    }
}

impl gimli::Reader for Reader {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.slice.len()
    }

    fn empty(&mut self) {
        self.slice.empty();
    }

    fn truncate(&mut self, len: usize) -> gimli::Result<()> {
        self.slice.truncate(len)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.slice.offset_from(base.slice)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.slice.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.slice.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> gimli::Result<usize> {
        let found = gimli::Reader::find(&self.slice, byte)?;
        // Searching is quick, and strings are shared.
        self.pay(found / 16)?;
        Ok(found)
    }

    fn skip(&mut self, len: usize) -> gimli::Result<()> {
        self.pay(0)?;
        self.slice.skip(len)
    }

    fn split(&mut self, len: usize) -> gimli::Result<Self> {
        self.pay(0)?;
        let slice = gimli::Reader::split(&mut self.slice, len)?;
        Ok(Self { slice, ..*self })
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        self.pay(self.len())?;
        Ok(self.slice.slice().into())
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        self.pay(self.len())?;
        gimli::Reader::to_string(&self.slice)
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        self.pay(self.len())?;
        gimli::Reader::to_string_lossy(&self.slice)
    }

    fn read_slice(&mut self, buf: &mut [u8]) -> gimli::Result<()> {
        self.pay(0)?;
        gimli::Reader::read_slice(&mut self.slice, buf)
    }
}
