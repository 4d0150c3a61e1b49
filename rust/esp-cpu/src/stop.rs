//! Why a run ended, and what an access failed by.

/// What an instruction wanted of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// To read it.
    Load,
    /// To write it.
    Store,
    /// To execute it.
    Fetch,
}

/// An access to what is not there, or may not be accessed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What was wanted.
    pub access: Access,
    /// The address that was touched.
    pub address: u32,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The instructions are used up.
    Budget,
    /// The program counter stands on a watched address; the instruction there is not done yet. It goes before `Budget`
    /// and `Asked`, for the next run does its first instruction without a look.
    Break,
    /// The instruction that waits for an interrupt was done; the program counter is behind it.
    Wait,
    /// The bus asked.
    Asked,
    /// An exception, where those are the host's; the program counter stands on the instruction.
    Exception {
        /// The number that the architecture gives it.
        cause: u32,
        /// What the architecture says of it besides: the address touched, or the instruction.
        value: u32,
    },
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ran {
    /// Why it ended.
    pub stop: Stop,
    /// The instructions done. One that the core itself entered a handler for counts; one that the host is told of does
    /// not.
    pub instructions: u64,
}
