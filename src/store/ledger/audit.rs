//! Whether a ledger is what was written: every hash, every link, its end, and what was signed about it.

use super::{
    line::{StoredLine, line_columns},
    seal::SignedHead,
};
use crate::{
    domain::{OrgId, Timestamp},
    store::{Doing as _, Result, Store, Tx},
};

/// What is wrong with a chain of lines, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A line does not say what was written.
    #[error("line {0} was changed")]
    Changed(i64),
    /// A line is gone.
    #[error("line {0} was removed")]
    Removed(i64),
    /// There is one line too many.
    #[error("line {0} was inserted")]
    Inserted(i64),
    /// A line stands where another stood.
    #[error("line {0} was moved: it was written as line {1}")]
    Moved(i64, i64),
    /// Lines are missing at the end.
    #[error("the tail was cut off: lines from {0} to {1} are gone")]
    TailCut(i64, i64),
    /// There is nothing that says where it ends.
    #[error("the ledger's end is gone: nothing says how many lines there are")]
    NoHead,
    /// The chain is sound, and not the one that was signed.
    #[error("the ledger was written anew: line {0} is not the one whose hash was signed")]
    Rewritten(i64),
    /// A signature about it was not made by our key.
    #[error("the signed head at line {0} is forged: our key did not sign it")]
    ForgedHead(i64),
}

impl ChainFault {
    /// The place of the first line that does not fit.
    #[must_use]
    pub const fn place(self) -> i64 {
        match self {
            Self::Changed(place)
            | Self::Removed(place)
            | Self::Inserted(place)
            | Self::Moved(place, _)
            | Self::TailCut(place, _)
            | Self::Rewritten(place)
            | Self::ForgedHead(place) => place,
            Self::NoHead => 1,
        }
    }
}

/// What was found about a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// How many lines it has; `Err` of what was done to its chain.
    pub chain: std::result::Result<i64, ChainFault>,
    /// What was done to it that only its signed heads show.
    pub against_heads: Vec<ChainFault>,
    /// How many signed heads it was held against.
    pub heads: usize,
    /// When the first line was written that no signed head covers.
    pub unsigned_since: Option<Timestamp>,
    /// Whether the sums that reports are read from are those of the lines.
    pub added_up: bool,
}

impl Audit {
    /// Everything that was done to it.
    #[must_use]
    pub fn faults(&self) -> Vec<ChainFault> {
        let mut faults: Vec<ChainFault> = self.chain.err().into_iter().collect();
        faults.extend(self.against_heads.iter().filter(|fault| Some(**fault) != self.chain.err()));
        faults
    }
}

/// Walks along a chain. Pure: lines are handed in, in the order of their places.
#[derive(Default)]
struct Walk {
    place: i64,
    previous: String,
    before: Option<StoredLine>,
}

impl Walk {
    fn step(&mut self, line: StoredLine) -> std::result::Result<(), ChainFault> {
        let place = self.place + 1;
        let sound = line.hash == line.hash_at(line.seq);
        if line.seq > place {
            return Err(ChainFault::Removed(place));
        }
        if line.previous == self.previous {
            if !sound {
                // Sound where it would have been written: what stood before it was taken away, or something put in.
                return Err(match self.written_at(&line) {
                    Some(written) => ChainFault::Moved(place, written),
                    None => ChainFault::Changed(place),
                });
            }
        } else {
            return Err(match self.written_at(&line) {
                // It follows something else, and was written for another place.
                Some(written) if written > line.seq => ChainFault::Removed(place),
                Some(written) if written < line.seq => ChainFault::Inserted(place - 1),
                _ if sound => ChainFault::Inserted(place),
                _ => ChainFault::Changed(place),
            });
        }
        self.place = place;
        line.hash.clone_into(&mut self.previous);
        self.before = Some(line);
        Ok(())
    }

    /// The place nearby for which the line has the right hash.
    #[expect(clippy::unused_self, reason = "reads as a question to the walk")]
    fn written_at(&self, line: &StoredLine) -> Option<i64> {
        (1..=64).flat_map(|far| [line.seq - far, line.seq + far]).find(|seq| *seq > 0 && line.hash_at(*seq) == line.hash)
    }
}

/// Reads every line in its order, a page at a time.
async fn walk(
    tx: &mut Tx,
    org: &str,
    mut each: impl FnMut(StoredLine) -> std::result::Result<(), ChainFault>,
) -> Result<std::result::Result<(), ChainFault>> {
    let mut after = i64::MIN;
    loop {
        let lines: Vec<StoredLine> = within!(tx, c => sqlx::query_as(concat!(
            "SELECT ", line_columns!(), " FROM ledger_line l WHERE l.org_id = $1 AND l.seq > $2 ORDER BY l.seq LIMIT 5000"))
            .bind(org).bind(after).fetch_all(c).await)
        .doing("read the ledger")?;
        let Some(last) = lines.last() else { return Ok(Ok(())) };
        after = last.seq;
        for line in lines {
            if let Err(fault) = each(line) {
                return Ok(Err(fault));
            }
        }
    }
}

impl Store {
    /// Recomputes an organization's chain: how many lines it has, or the place of the first that does not fit. A line
    /// missing at the end is the place after the last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn verify_ledger(&self, org: OrgId) -> Result<std::result::Result<i64, i64>> {
        Ok(self.ledger_chain(org).await?.map_err(ChainFault::place))
    }

    /// Holds a ledger against itself and against its signed heads: those on record, and `kept` ones that somebody saved
    /// elsewhere. `key` is the public key to believe; without it, those of the private keys sealed under the master key.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_ledger(&self, org: OrgId, key: Option<&[u8]>, kept: &[SignedHead]) -> Result<Audit> {
        let chain = self.ledger_chain(org).await?;
        // What was put into the database in place of a key does not open, and signs nothing.
        let keys = match key {
            Some(_) => Vec::new(),
            None => self.head_keys().await.unwrap_or_default(),
        };
        let mut heads = self.signed_heads(org).await?;
        heads.extend(kept.iter().filter(|head| head.organization == org).cloned());
        let lines: i64 = on!(&self.db, pool =>
            sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM ledger_line WHERE org_id = $1").bind(org.to_string()).fetch_one(pool).await)
        .doing("find the ledger's last line")?;
        let mut against_heads = Vec::new();
        for head in &heads {
            let public = key.or_else(|| keys.iter().find(|(id, _)| *id == head.key).map(|(_, public)| public.as_slice()));
            if !public.is_some_and(|public| head.is_signed_by(public)) {
                against_heads.push(ChainFault::ForgedHead(head.line));
                continue;
            }
            let hash: Option<String> = on!(&self.db, pool =>
                sqlx::query_scalar("SELECT hash FROM ledger_line WHERE org_id = $1 AND seq = $2").bind(org.to_string()).bind(head.line)
                .fetch_optional(pool).await)
            .doing("read a signed line")?;
            match hash {
                Some(hash) if hash == head.hash => {}
                Some(_) => against_heads.push(ChainFault::Rewritten(head.line)),
                None if head.line > lines => against_heads.push(ChainFault::TailCut(lines + 1, head.line)),
                None => against_heads.push(ChainFault::Removed(head.line)),
            }
        }
        let unsigned_since = self.unsigned_since(org).await?;
        let added_up = self.sums_are_true(org).await?;
        Ok(Audit { chain, against_heads, heads: heads.len(), unsigned_since, added_up })
    }

    /// The same about the chain alone, and what was done to it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_chain(&self, org: OrgId) -> Result<std::result::Result<i64, ChainFault>> {
        // Lines and head as they were at one instant: charges go on being written.
        let mut tx = self.begin_reading().await?;
        let org = org.to_string();
        let head: Option<(i64, String)> = within!(&mut tx, c =>
            sqlx::query_as("SELECT seq, hash FROM ledger_head WHERE org_id = $1").bind(&org).fetch_optional(c).await)
        .doing("read the ledger's head")?;
        let mut chain = Walk::default();
        if let Err(fault) = walk(&mut tx, &org, |line| chain.step(line)).await? {
            return Ok(Err(fault));
        }
        let place = chain.place;
        Ok(match head {
            None => Err(ChainFault::NoHead),
            Some((seq, _)) if seq > place => Err(ChainFault::TailCut(place + 1, seq)),
            Some((seq, _)) if seq < place => Err(ChainFault::Inserted(seq + 1)),
            Some((_, hash)) if hash != chain.previous => Err(ChainFault::Changed(place)),
            Some(_) => Ok(place),
        })
    }
}
