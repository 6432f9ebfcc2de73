/* The tuning file: read whole, replaced whole. What its lines say is the planner's (host/base/tuned.h). */
#ifndef CA_PROGRAM_TUNING_FILE_H
#define CA_PROGRAM_TUNING_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "report.h"

#define CA_TUNING_BYTES_MAX (1 << 20) /* some thousands of rows; what is larger is another file */

/* The file by environment: CLATTN_TUNING, XDG_DATA_HOME/clattn/tuning, HOME/.local/share/clattn/tuning; false: none. */
bool ca_tuning_path_default(char *path, size_t capacity);

/* *text holds it, "" where there is no file or none that has lines (a device); the caller frees it.
 * @error CLATTN_INVALID_VALUE (it cannot be read, or is too large), memory */
clattn_status ca_tuning_read(const char *path, char **text, clattn_report *report);

/* Takes the place of the old file at once, so that a reader sees either whole. Makes the folder where it is missing.
 * @error CLATTN_INVALID_VALUE (it cannot be written, or is too large to be read again) */
clattn_status ca_tuning_write(const char *path, const char *text, clattn_report *report);

#endif
