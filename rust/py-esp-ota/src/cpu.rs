//! `Cpu`: one core of `esp-cpu` with its memory, as an engine of `py_esp_ota.silicon`.
//!
//! Between two instructions nothing is borrowed: whoever is called back may look at everything and change it. While an
//! instruction is done only the registers and the flags can be reached.

mod bus;
mod core;
mod devices;
mod handlers;
mod inner;
mod printed;
mod registers;
mod run;
mod shown;
mod window;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use esp_cpu::riscv::Line;
use esp_cpu::{Access, Rights, Snapshot, Space};
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use self::bus::Flags;
use self::devices::{Compression, Kept, Switch};
use self::handlers::Handlers;
use self::inner::{Inner, Watch};
use self::printed::{Console, Printed};
use self::registers::Words;
use self::shown::{Pieces, ShownPages};
use self::window::Window;
use crate::bytes::Bytes;
use crate::flash::Flash;
use crate::lock::lock;

pyo3::import_exception!(py_esp_ota.silicon.engines.engine, MemoryFault);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Words>()?;
    module.add_class::<Handlers>()?;
    module.add_class::<Kept>()?;
    module.add_class::<Switch>()?;
    module.add_class::<Compression>()?;
    module.add_class::<Printed>()?;
    module.add_class::<Console>()?;
    module.add_class::<ShownPages>()?;
    module.add_class::<Pieces>()?;
    module.add_class::<CpuState>()?;
    module.add_class::<CpuMemory>()?;
    module.add_class::<Cpu>()
}

/// The registers of a CPU as they were.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct CpuState(core::State);

/// The memory of a CPU as it was.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct CpuMemory(Snapshot);

/// A CPU core and the memory around it. Safe to share between threads, but of no use to two at once.
#[pyclass(module = "py_esp_ota._core", frozen, subclass)]
pub(crate) struct Cpu {
    words: Py<Words>,
    on_read: Py<Handlers>,
    on_write: Py<Handlers>,
    flags: Flags,
    waits: AtomicBool,
    instructions: AtomicU64,
    watcher: Mutex<Option<Py<PyAny>>>,
    loads: Mutex<Option<Py<PyAny>>>,
    inner: Mutex<Inner>,
}

fn named(access: Access) -> &'static str {
    match access {
        Access::Load => "load",
        Access::Store => "store",
        Access::Fetch => "fetch",
    }
}

fn fault(access: Access, address: u32) -> PyErr {
    MemoryFault::new_err((named(access), address))
}

#[pymethods]
impl Cpu {
    #[new]
    fn new(chip: &str, words: Py<Words>, on_read: Py<Handlers>, on_write: Py<Handlers>) -> PyResult<Self> {
        let core = core::of(chip).ok_or_else(|| PyValueError::new_err(format!("no core for {chip:?}")))?;
        let inner = Inner {
            core,
            space: Space::new(),
            windows: Vec::new(),
            watches: Vec::new(),
            aliases: Vec::new(),
            random: None,
        };
        Ok(Self {
            words,
            on_read,
            on_write,
            flags: Flags::default(),
            waits: AtomicBool::default(),
            instructions: AtomicU64::default(),
            watcher: Mutex::default(),
            loads: Mutex::default(),
            inner: Mutex::new(inner),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_read)?;
        visit.call(&self.on_write)?;
        for held in [&self.watcher, &self.loads] {
            if let Ok(held) = held.try_lock() {
                visit.call(&*held)?;
            }
        }
        let Ok(inner) = self.inner.try_lock() else { return Ok(()) };
        inner.watches.iter().try_for_each(|watch| visit.call(&watch.callback))
    }

    fn __clear__(&self) {
        let _gone = (lock(&self.watcher).take(), lock(&self.loads).take());
        let _watches = self.inner.try_lock().map(|mut inner| std::mem::take(&mut inner.watches));
    }

    /// A block of memory, seen at each window (address, rights): its number.
    fn add_memory(&self, size: usize, windows: Vec<(u32, u32)>) -> PyResult<usize> {
        let windows: Vec<_> = windows.into_iter().map(|(base, rights)| (base, Rights::from_bits(rights))).collect();
        Ok(self.inner()?.space.add(size, &windows))
    }

    /// The same for pages that come from a flash: the number of the window.
    fn add_flash(&self, size: usize, windows: Vec<(u32, u32)>) -> PyResult<usize> {
        let block = self.add_memory(size, windows.clone())?;
        let mut inner = self.inner()?;
        let bases = windows.into_iter().map(|(base, _)| base);
        let window = Window::new(&mut inner.space, block, size, bases);
        inner.windows.push(window);
        Ok(inner.windows.len() - 1)
    }

    /// The registers answer from `begin` up to `end`.
    fn add_registers(&self, begin: u32, end: u32) -> PyResult<()> {
        self.inner()?.space.add_registers(begin, end);
        Ok(())
    }

    /// The registers from `to` on answer from `begin` up to `end` too.
    fn add_alias(&self, begin: u32, end: u32, to: u32) -> PyResult<()> {
        let mut inner = self.inner()?;
        inner.space.add_registers(begin, end);
        inner.aliases.push((begin, end, to));
        Ok(())
    }

    /// The register that is another number each time it is read; the word there is the generator's state.
    fn add_random(&self, address: u32) -> PyResult<()> {
        self.inner()?.random = Some(address);
        Ok(())
    }

    /// Show pieces of `flash` as they are now; those that have no place in it, zeros.
    #[pyo3(signature = (pieces, flash=None))]
    fn show(&self, py: Python<'_>, pieces: &Bound<'_, Pieces>, flash: Option<&Bound<'_, Flash>>) -> PyResult<()> {
        let pieces = &pieces.get().0;
        let places: Vec<_> = pieces.iter().filter_map(|&(_, _, length, place)| Some((place?, length as u64))).collect();
        let looked = |flash: &Bound<'_, Flash>| {
            flash.get().sized(py, 0, |chip| {
                let mut checks = places.iter().map(|&(place, length)| chip.check_read(place, length));
                checks.try_for_each(|checked| checked).map(|()| chip.view())
            })
        };
        let view = flash.filter(|_| !places.is_empty()).map(looked).transpose()?;
        let view = view.map(|view| Arc::new(Mutex::new(view)));
        let mut inner = self.inner()?;
        let Inner { space, windows, .. } = &mut *inner;
        for &(window, offset, length, place) in pieces {
            if let Some(window) = windows.get_mut(window) {
                window.show(space, (offset, length), view.as_ref().zip(place));
            }
        }
        Ok(())
    }

    // ----------------------------------------------------------------------------------------------------- running

    /// Run from `pc` for `count` instructions, or until something stops it; how many it were.
    fn run(&self, py: Python<'_>, pc: u32, count: u64) -> PyResult<u64> {
        self.flags.stopped.store(self.flags.interrupted.load(Ordering::Relaxed), Ordering::Relaxed);
        self.waits.store(false, Ordering::Relaxed);
        self.inner()?.core.set_pc(pc);
        let done = self.go_on(py, count);
        // One that came near the end is told here, and not to the next run.
        py.check_signals()?;
        if self.flags.interrupted.swap(false, Ordering::Relaxed) {
            return Err(PyKeyboardInterrupt::new_err(()));
        }
        done
    }

    /// No instruction more, from inside of a callback.
    fn stop(&self) {
        self.flags.stop();
    }

    /// No instruction more, and `run` raises `KeyboardInterrupt`.
    fn interrupt(&self) {
        self.flags.interrupted.store(true, Ordering::Relaxed);
        self.flags.stop();
    }

    /// Take from the effort; once it is spent the code ends, and this is false.
    fn charge(&self, effort: i64) -> bool {
        self.flags.charge(effort)
    }

    /// What Python may still do for the code.
    #[getter]
    fn effort(&self) -> i64 {
        self.flags.effort.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_effort(&self, effort: i64) {
        self.flags.effort.store(effort, Ordering::Relaxed);
    }

    /// Instructions so far.
    #[getter]
    fn instructions(&self) -> u64 {
        self.instructions.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_instructions(&self, count: u64) {
        self.instructions.store(count, Ordering::Relaxed);
    }

    /// Who is asked.
    #[getter]
    fn get_watcher(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.watcher).as_ref().map(|watcher| watcher.clone_ref(py))
    }

    #[setter]
    fn set_watcher(&self, watcher: Option<Py<PyAny>>) {
        let _before = std::mem::replace(&mut *lock(&self.watcher), watcher);
    }

    /// Called with address and length before pages of a flash are read for the first time.
    fn set_loads(&self, loads: Option<Py<PyAny>>) {
        let _before = std::mem::replace(&mut *lock(&self.loads), loads);
    }

    /// Whether the last instruction was the one that waits for an interrupt.
    #[getter]
    fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether an interrupt would get through to the code.
    #[getter]
    fn interruptible(&self) -> PyResult<bool> {
        Ok(self.inner()?.core.interruptible())
    }

    /// Go on in the handler of `cause`.
    fn enter(&self, cause: u32, value: u32) -> PyResult<()> {
        let mut inner = self.inner()?;
        inner.core.enter(cause, value);
        Ok(())
    }

    /// Go on in the handler of a line if its level gets through, on a core with a CLIC: whether it did.
    #[pyo3(signature = (number, level, *, vectored, user))]
    fn let_in(&self, py: Python<'_>, number: u32, level: u8, vectored: bool, user: bool) -> PyResult<bool> {
        let line = Line { number, level, vectored, user };
        let mut inner = self.inner()?;
        if let Some(address) = inner.core.vector(line) {
            inner.bring_all(py, address, 4)?;
        }
        let Inner { core, space, .. } = &mut *inner;
        Ok(core.let_in(space, line))
    }

    /// Ask `watcher` for every call of ROM from `begin` up to `end`.
    fn watch_rom(&self, begin: u32, end: u32) -> PyResult<usize> {
        self.watch_for(None, begin, end)
    }

    /// Call back before any instruction from `begin` up to `end`.
    fn watch(&self, callback: Py<PyAny>, begin: u32, end: u64) -> PyResult<usize> {
        self.watch_for(Some(callback), begin, u32::try_from(end).unwrap_or(u32::MAX))
    }

    /// The end of a watch.
    fn unwatch(&self, number: usize) -> PyResult<()> {
        let mut inner = self.inner()?;
        inner.space.unwatch(number);
        inner.watches.retain(|watch| watch.number != number);
        Ok(())
    }

    // ---------------------------------------------------------------------------------------- registers and memory

    /// Where it runs.
    #[getter]
    fn pc(&self) -> PyResult<u32> {
        Ok(self.inner()?.core.pc())
    }

    #[setter]
    fn set_pc(&self, pc: u32) -> PyResult<()> {
        self.inner()?.core.set_pc(pc);
        Ok(())
    }

    /// A general register.
    fn register(&self, number: usize) -> PyResult<u32> {
        Ok(self.inner()?.core.register(number))
    }

    /// A register that instructions of its own read and write.
    fn special(&self, number: u16) -> PyResult<u32> {
        self.inner()?.core.special(number).ok_or_else(|| PyValueError::new_err(format!("no register {number}")))
    }

    /// The same, written.
    fn set_special(&self, number: u16, value: u32) -> PyResult<()> {
        let known = self.inner()?.core.set_special(number, value);
        if known { Ok(()) } else { Err(PyValueError::new_err(format!("no register {number}"))) }
    }

    /// Pull these lines of the core, and no others, where the core itself looks after its interrupts.
    fn set_lines(&self, mask: u32) -> PyResult<()> {
        self.inner()?.core.set_lines(mask);
        Ok(())
    }

    /// So many cycles pass while the core waits, where it has a timer itself.
    fn advance(&self, cycles: u32) -> PyResult<()> {
        self.inner()?.core.advance(cycles);
        Ok(())
    }

    /// So many pass with each look of code at a cycle counter of the core's own, beside the instruction's.
    fn set_look(&self, cycles: u32) -> PyResult<()> {
        self.inner()?.core.set_look(cycles);
        Ok(())
    }

    /// A general register.
    fn set_register(&self, number: usize, #[pyo3(from_py_with = registers::low_word)] value: u32) -> PyResult<()> {
        self.inner()?.core.set_register(number, value);
        Ok(())
    }

    /// All that decides what the core does next, but for its memory.
    fn state(&self) -> PyResult<Vec<u32>> {
        Ok(self.inner()?.core.words())
    }

    /// All registers as they are.
    fn save_registers(&self) -> PyResult<CpuState> {
        Ok(CpuState(self.inner()?.core.save()))
    }

    /// All registers as they were at `save_registers`.
    fn restore_registers(&self, state: &Bound<'_, CpuState>) -> PyResult<()> {
        self.inner()?.core.restore(&state.get().0);
        Ok(())
    }

    /// All memory as it is.
    fn save_memory(&self) -> PyResult<CpuMemory> {
        Ok(CpuMemory(self.inner()?.space.snapshot()))
    }

    /// All memory as it was at `save_memory`.
    fn restore_memory(&self, memory: &Bound<'_, CpuMemory>) -> PyResult<()> {
        self.inner()?.space.restore(&memory.get().0);
        Ok(())
    }

    /// Registers as after power-on, but for the stack pointer.
    fn reset(&self, stack_top: u32) -> PyResult<()> {
        self.inner()?.core.reset(stack_top);
        Ok(())
    }

    /// Memory.
    fn peek<'py>(&self, py: Python<'py>, address: u32, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        let mut inner = self.inner()?;
        inner.bring_all(py, address, length)?;
        let bytes = inner.space.read_at(address, length).ok_or_else(|| fault(Access::Load, address))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Into memory.
    fn poke(&self, py: Python<'_>, address: u32, data: Bytes) -> PyResult<()> {
        let mut inner = self.inner()?;
        inner.bring_all(py, address, data.len())?;
        if inner.space.write_at(address, &data) { Ok(()) } else { Err(fault(Access::Store, address)) }
    }

    /// Bytes of a block.
    fn get<'py>(&self, py: Python<'py>, block: usize, offset: usize, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        let inner = self.inner()?;
        let bytes = inner.space.get(block, offset, length).ok_or_else(|| PyValueError::new_err("beyond the block"))?;
        Ok(PyBytes::new(py, bytes))
    }

    /// Bytes into a block.
    fn put(&self, block: usize, offset: usize, data: Bytes) -> PyResult<()> {
        let fits = self.inner()?.space.put(block, offset, &data);
        if fits { Ok(()) } else { Err(PyValueError::new_err("beyond the block")) }
    }

    /// Fill a block with zeros.
    fn clear(&self, block: usize) -> PyResult<()> {
        self.inner()?.space.clear(block);
        Ok(())
    }

    // --------------------------------------------------------------------------------------------- calls as C makes

    /// The stack pointer.
    #[getter]
    fn sp(&self) -> PyResult<u32> {
        Ok(self.inner()?.core.sp())
    }

    /// Where the function that runs returns to.
    #[getter]
    fn ra(&self) -> PyResult<u32> {
        Ok(self.inner()?.core.ra())
    }

    #[setter]
    fn set_ra(&self, address: u32) -> PyResult<()> {
        self.inner()?.core.set_ra(address);
        Ok(())
    }

    /// Argument `index` of those in registers.
    fn argument(&self, index: usize) -> PyResult<u32> {
        Ok(self.inner()?.core.argument(index))
    }

    /// The same for the function that is called next.
    fn set_argument(&self, index: usize, #[pyo3(from_py_with = registers::low_word)] value: u32) -> PyResult<()> {
        self.inner()?.core.set_argument(index, value);
        Ok(())
    }

    /// What the function that runs returns, of 64 bits if `wide`.
    #[pyo3(signature = (value, *, wide))]
    fn result(&self, value: &Bound<'_, PyAny>, wide: bool) -> PyResult<()> {
        let low = registers::low_word(value)?;
        let high = if wide { registers::low_word(&value.rshift(32)?)? } else { 0 };
        let mut inner = self.inner()?;
        inner.core.set_argument(0, low);
        if wide {
            inner.core.set_argument(1, high);
        }
        Ok(())
    }

    /// Where code that only jumps goes on.
    fn go_to(&self, address: u32) -> PyResult<()> {
        self.inner()?.core.go_to(address);
        Ok(())
    }
}

impl Cpu {
    fn watch_for(&self, callback: Option<Py<PyAny>>, begin: u32, end: u32) -> PyResult<usize> {
        let mut inner = self.inner()?;
        let end = end.saturating_sub(1);
        let number = inner.space.watch(begin, end);
        inner.watches.push(Watch { number, begin, end, callback });
        Ok(number)
    }
}
