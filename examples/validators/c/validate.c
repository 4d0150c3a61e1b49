/* A validator of app images as one finds them, held against a corpus:
 *
 *     esp-ota fuzz-corpus corpus
 *     cc -O2 -o validate validate.c && ./validate $(find corpus -name '*.bin')
 *
 * It follows the segments and adds up the checksum. It knows nothing of hashes, chips and app descriptors: the corpus
 * says so. With -DFUZZING there is no main() but what libFuzzer calls:
 *
 *     clang -g -fsanitize=fuzzer,address -DFUZZING -o fuzz validate.c && ./fuzz corpus/valid corpus/corrupted
 *
 * and AFL runs the program on one file: afl-fuzz -i corpus/valid -o found -- ./validate @@
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, SEGMENT = 8, MOST_SEGMENTS = 16, HASH = 32 };

static uint32_t word(const uint8_t *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Whether an updater would take these bytes. */
static bool accepts(const uint8_t *data, size_t size)
{
    if (size < HEADER || data[0] != 0xE9 || data[1] < 1 || data[1] > MOST_SEGMENTS) {
        return false;
    }
    uint8_t checksum = 0xEF;
    size_t at = HEADER;
    for (int segment = 0; segment < data[1]; segment++) {
        if (size - at < SEGMENT) {
            return false;
        }
        uint32_t length = word(data + at + 4);
        at += SEGMENT;
        if (length % 4 != 0 || length > size - at) {
            return false;
        }
        for (size_t end = at + length; at < end; at++) {
            checksum ^= data[at];
        }
    }
    at += 16 - at % 16;
    size_t behind = data[23] ? HASH : 0;
    return size >= at && size - at >= behind && data[at - 1] == checksum;
}

#ifdef FUZZING

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    accepts(data, size);
    return 0;
}

#else

/* The bytes of a file; the program ends when they cannot be had. */
static uint8_t *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    uint8_t *data = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        long length = ftell(file);
        rewind(file);
        data = length < 0 ? NULL : malloc((size_t)length + 1);
        *size = data == NULL ? 0 : fread(data, 1, (size_t)length, file);
    }
    if (data == NULL) {
        perror(name);
        exit(2);
    }
    fclose(file);
    return data;
}

int main(int count, char **names)
{
    int wrong = 0;
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *data = read_file(names[i], &size);
        bool taken = accepts(data, size);
        if (taken == (strstr(names[i], "corrupted/") != NULL)) {
            printf("%s %s\n", taken ? "accepted" : "refused", names[i]);
            wrong++;
        }
        free(data);
    }
    printf("%d of %d files are judged as a chip would\n", count - 1 - wrong, count - 1);
    return wrong != 0;
}

#endif
