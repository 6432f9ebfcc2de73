/* Copies of the kernels with a fault of the test's making, for CLATTN_KERNEL_DIR. */
#ifndef TESTS_PLANTED_H
#define TESTS_PLANTED_H

/* Copies the kernels of one folder to another, which is made if it is missing. */
void planted_copy(const char *from, const char *to);

/* Replaces a text, which must stand in the file, wherever it does. */
void planted_edit(const char *folder, const char *file, const char *text, const char *by);

#endif
