/* The first instructions of an app, and the way into a panic. Both lie in RAM: they must run while the flash is busy. */

    .section .iram.start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, _stack_top
    la t0, _vectors
    csrw mtvec, t0
    la t0, _bss_start
    la t1, _bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call app_main
    tail abort                  /* an app has nowhere to return to */

/* The core jumps to the table's first entry for an exception, and to entry n for interrupt n; none is enabled here. */
    .section .iram.vectors, "ax"
    .balign 256
    .option push
    .option norvc
_vectors:
    .rept 32
    j _trap
    .endr
    .option pop

_trap:
    la sp, _stack_top           /* the old stack may be what is broken */
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    mv a3, ra
    call panic
