"""ROM's functions for the interrupt controller, the cache, the clocks and the RTC's watchdog."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS, Lines, Peripherals
from py_esp_ota.silicon.rom.functions import Calls, Function, constant, sync
from py_esp_ota.silicon.words import words

_XTAL_HZ, _APB_HZ = 40_000_000, 80_000_000


def _peripherals(cpu: Calls) -> Peripherals:
    at = PERIPHERALS.get(cpu.soc.name)
    if at is None:
        raise ValueError(f"the interrupts of the {cpu.soc.name} are not here")
    return at


def _lines(cpu: Calls) -> Lines:
    match _peripherals(cpu).lines:
        case Lines() as lines:
            return lines
        case _:
            raise ValueError(f"the {cpu.soc.name} has a CLIC, which its real ROM sets, and ours does not")


def intr_matrix_set(cpu: Calls) -> None:
    """``intr_matrix_set``: core, source, line."""
    cpu.set_register(_peripherals(cpu).interrupts + 4 * (cpu.arg(1) & 127), cpu.arg(2))


def _bit(cpu: Calls, address: int, bits: int, *, on: bool) -> None:
    old = cpu.get_register(address)
    cpu.set_register(address, old | bits if on else old & ~bits)


def enable(cpu: Calls) -> None:
    """``esprv_intc_int_enable``: a mask of lines."""
    _bit(cpu, _lines(cpu).enable, cpu.arg(0), on=True)


def disable(cpu: Calls) -> None:
    """``esprv_intc_int_disable``: a mask of lines."""
    _bit(cpu, _lines(cpu).enable, cpu.arg(0), on=False)


def set_type(cpu: Calls) -> None:
    """``esprv_intc_int_set_type``: a line, 0 for level and 1 for edge."""
    _bit(cpu, _lines(cpu).types, 1 << (cpu.arg(0) & 31), on=bool(cpu.arg(1)))


def set_priority(cpu: Calls) -> None:
    """``esprv_intc_int_set_priority``: a line and its priority."""
    cpu.set_register(_lines(cpu).priority + 4 * (cpu.arg(0) & 31), cpu.arg(1))


def set_threshold(cpu: Calls) -> None:
    """``esprv_intc_int_set_threshold``."""
    cpu.set_register(_lines(cpu).threshold, cpu.arg(0))


def delay_us(cpu: Calls) -> None:
    """``ets_delay_us``."""
    cpu.clock.pass_us(cpu.arg(0))


def software_reset_cpu(cpu: Calls) -> None:
    """``software_reset_cpu``: the CPU without the devices around it."""
    cpu.reset(ResetReason.SW_CPU)


#: Pads and pins lead nowhere here.
_GPIO = (
    "gpio_matrix_in", "gpio_matrix_out", "gpio_output_disable", "gpio_output_enable", "gpio_output_set",
    "gpio_pad_hold", "gpio_pad_input_disable", "gpio_pad_input_enable", "gpio_pad_pulldown", "gpio_pad_pullup",
    "gpio_pad_select_gpio", "gpio_pad_unhold",
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- the RTC's watchdog

#: Registers from its base on, as ``rtc.py`` has them; words of ``wdt_hal_context_t``: the instance, its registers.
_CONFIG0, _CONFIG1, _FEED = 0x00, 0x04, 0x14
_STAGE_BITS = (28, 25, 22, 19)
_EN, _WDT_RWDT = 1 << 31, 0


def _rwdt(cpu: Calls) -> int | None:
    """The base of the watchdog that the context is about; ``None`` for those of the timer groups, and unknown ones."""
    inst, base = words(cpu.load(cpu.arg(0), 8))
    at = PERIPHERALS.get(cpu.soc.name)
    return base if inst == _WDT_RWDT and at is not None and base == at.awake.watchdog else None


def config_stage(cpu: Calls) -> None:
    """``wdt_hal_config_stage``: context, stage, ticks, action. The hardware doubles the first stage."""
    base, stage = _rwdt(cpu), cpu.arg(1) & 3
    if base is not None:
        cpu.set_register(base + _CONFIG1 + 4 * stage, cpu.arg(2) >> (stage == 0))
        bit = _STAGE_BITS[stage]
        old = cpu.get_register(base + _CONFIG0)
        cpu.set_register(base + _CONFIG0, old & ~(7 << bit) | (cpu.arg(3) & 7) << bit)


def feed(cpu: Calls) -> None:
    """``wdt_hal_feed``."""
    base = _rwdt(cpu)
    if base is not None:
        cpu.set_register(base + _FEED, _EN)


def wdt_enable(cpu: Calls) -> None:
    """``wdt_hal_enable``, which feeds it first."""
    feed(cpu)
    base = _rwdt(cpu)
    if base is not None:
        _bit(cpu, base + _CONFIG0, _EN, on=True)


def wdt_disable(cpu: Calls) -> None:
    """``wdt_hal_disable``."""
    base = _rwdt(cpu)
    if base is not None:
        _bit(cpu, base + _CONFIG0, _EN, on=False)


def is_enabled(cpu: Calls) -> int:
    """``wdt_hal_is_enabled``."""
    base = _rwdt(cpu)
    return 0 if base is None else cpu.get_register(base + _CONFIG0) >> 31


#: What sets the interrupt controller. That of a CLIC is the real ROM's to do.
INTERRUPTS: Mapping[str, Function] = {
    "intr_matrix_set": intr_matrix_set,
    "esprv_intc_int_enable": enable,
    "esprv_intc_int_disable": disable,
    "ets_isr_mask": disable,
    "ets_isr_unmask": enable,
    "esprv_intc_int_set_type": set_type,
    "esprv_intc_int_set_priority": set_priority,
    "esprv_intc_int_set_threshold": set_threshold,
}
SYSTEM: Mapping[str, Function] = {
    **dict.fromkeys(_GPIO, constant(None)),
    **INTERRUPTS,
    "ets_delay_us": delay_us,
    "wdt_hal_config_stage": config_stage,
    "wdt_hal_enable": wdt_enable,
    "wdt_hal_disable": wdt_disable,
    "wdt_hal_feed": feed,
    "wdt_hal_is_enabled": is_enabled,
    "software_reset_cpu": software_reset_cpu,
    "ets_get_xtal_freq": constant(_XTAL_HZ),
    "ets_get_apb_freq": constant(_APB_HZ),
    "ets_install_putc1": constant(None),
    "ets_apb_backup_init_lock_func": constant(None),
    "esp_rom_newlib_init_common_mutexes": constant(None),
    "esp_coex_rom_version_get": lambda cpu: cpu.no_text,
    "rom_i2c_readReg": constant(0),
    "rom_i2c_readReg_Mask": constant(0),
    "Cache_Set_IDROM_MMU_Size": constant(None),
    "Cache_Invalidate_Addr": sync,
    "Cache_Freeze_ICache_Enable": constant(None),
    "Cache_Freeze_ICache_Disable": sync,
    "Cache_Get_ICache_Line_Size": constant(32),
    "Cache_Get_Line_Size": constant(32),
    "Cache_Set_IDROM_MMU_Info": constant(None),
    "Cache_Start_ICache_Preload": constant(None),
    "Cache_ICache_Preload_Done": constant(1),
    "Cache_Start_Preload": constant(None),
    "Cache_Preload_Done": constant(1),
    "set_rtc_memory_crc": constant(None),
    "esp_rom_set_rtc_wake_addr": constant(None),
}
