/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The driver of `make check`: every input of a target's corpus goes through it once, with any compiler. Without arguments
 * the target's own folder (CORPUS) is read; with arguments those files or folders: so a crash is had again too.
 * An input is a block of its own size, so that ASan sees a read behind its end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define PATH_BYTES 4096
#define INPUT_BYTES (1 << 20)

static unsigned long inputs;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", what, path);
    exit(1);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *room = malloc(INPUT_BYTES), *input;
    size_t len;

    if (file == NULL || room == NULL)
        fail("cannot read", path);
    len = fread(room, 1, INPUT_BYTES, file);
    if (ferror(file) || len == INPUT_BYTES)
        fail("cannot read, or too long", path);
    (void)fclose(file);
    input = malloc(len > 0 ? len : 1);
    if (input == NULL)
        fail("no memory for", path);
    memcpy(input, room, len);
    free(room);
    (void)fprintf(stderr, "%s\n", path); /* the last one named is the one that stopped it */
    (void)LLVMFuzzerTestOneInput(input, len);
    free(input);
    inputs++;
}

static void replay(const char *path)
{
    struct dirent **names;
    struct stat status;
    int count;

    if (stat(path, &status) != 0)
        fail("is not there", path);
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path);
        return;
    }
    count = scandir(path, &names, NULL, alphasort); /* the same order everywhere */
    for (int i = 0; i < count; i++) {
        char inner[PATH_BYTES];

        if (names[i]->d_name[0] != '.') {
            if (snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name) >= (int)sizeof inner)
                fail("the path is too long", path);
            replay_file(inner);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    if (argc < 2)
        replay(CORPUS);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (inputs == 0)
        fail("no input in", argc < 2 ? CORPUS : argv[1]);
    printf("%lu inputs\n", inputs);
    return 0;
}
