/* The place of esp_app_desc_t, at the beginning of an app's constants. The forge fills it in. */
#include <stdint.h>

struct app_desc {
    uint32_t magic_word, words[63];
};

const struct app_desc app_desc __attribute__((section(".flash.appdesc"), used)) = {.magic_word = 0xABCD5432};
