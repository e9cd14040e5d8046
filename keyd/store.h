/* Files of keys, through descriptors that master opened. */

#ifndef KEYD_STORE_H
#define KEYD_STORE_H

#include <sys/types.h>

#include "common/env.h"
#include "common/secret.h"

#include <openssl/types.h>

/* At most max octets up to the end of the file; -1 with errno. */
ssize_t		 file_read(int fd, void *to, size_t max);

/*
 * Reads "privkey:" and 64 hex digits, with or without one newline (Headscale
 * writes none), from fd, which stays the caller's.  The 32 octets, or NULL
 * with the reason in why.
 */
struct secret	*keyfile_read(int fd, char *why, size_t whylen);
/*
 * Draws a key, writes it in the same form with a newline to the empty file fd
 * and syncs it.  NULL with the reason in why; a file that holds anything is
 * left as it is.
 */
struct secret	*keyfile_make(int fd, struct env *, char *why, size_t whylen);
/*
 * The same of a private key in PEM, which is of P-256 where it is made; the
 * caller frees it.
 */
EVP_PKEY	*pemfile_read(int fd, char *why, size_t whylen);
EVP_PKEY	*pemfile_make(int fd, char *why, size_t whylen);

#endif
