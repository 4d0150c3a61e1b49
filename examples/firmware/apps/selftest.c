/* An update that looks before it confirms: it computes anew what a table in its flash says. */
#include "app.h"

#define PRIMES 64

/* Readable by the one who damages it: the word after this text is the first prime. */
static const struct {
    char name[8];
    uint16_t primes[PRIMES];
} table = {
    "PRIMES:",
    {2,   3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,  73,  79,
     83,  89,  97,  101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193,
     197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307, 311},
};

static bool is_prime(uint32_t number)
{
    for (uint32_t factor = 2; factor * factor <= number; factor++) {
        if (number % factor == 0) {
            return false;
        }
    }
    return number > 1;
}

static uint32_t number = 1;

static int first_wrong(void)
{
    const volatile uint16_t *primes = table.primes;
    for (int index = 0; index < PRIMES; index++) {
        while (!is_prime(++number)) {
        }
        if (primes[index] != number) {
            return index;
        }
    }
    return -1;
}

void app_main(void)
{
    hello("selftest");
    int wrong = first_wrong();
    if (wrong >= 0) {
        LOG("self-test: prime %d is wrong\n", wrong);
        LOG("rejected: 0x%x\n", ota_mark_app_invalid_rollback_and_reboot());
    } else {
        LOG("self-test passed, confirmed: %d\n", ota_mark_app_valid_cancel_rollback());
    }
    stay();
}
