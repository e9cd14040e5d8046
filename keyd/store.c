#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/enc.h"
#include "common/noise.h"
#include "keyd/acme.h"
#include "keyd/store.h"

#define PREFIX		"privkey:"
#define PREFIX_LEN	(sizeof(PREFIX) - 1)
#define DIGITS		(2 * NOISE_KEY)
#define TEXT_LEN	(PREFIX_LEN + DIGITS)	/* without the newline */

/* Room for an octet too many, that is how a longer file is seen. */
#define ROOM		(TEXT_LEN + 2)
#define PEM_MAX		16384

ssize_t
file_read(int fd, void *to, size_t max)
{
	size_t n = 0;
	ssize_t got;

	while (n < max) {
		got = read(fd, (char *)to + n, max - n);
		if (got == 0)
			break;
		if (got > 0)
			n += (size_t)got;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)n;
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t put;

	while (n > 0) {
		if ((put = write(fd, p, n)) == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static bool
parse(uint8_t key[NOISE_KEY], const char *text, size_t n)
{
	if (n == TEXT_LEN + 1 && text[TEXT_LEN] == '\n')
		n--;
	if (n != TEXT_LEN || memcmp(text, PREFIX, PREFIX_LEN) != 0)
		return false;
	return hex_dec(key, NOISE_KEY, slice_mem(text + PREFIX_LEN, DIGITS));
}

struct secret *
keyfile_read(int fd, char *why, size_t whylen)
{
	struct secret *text, *key;
	const char *wrong = NULL;
	ssize_t n;

	text = secret_new(ROOM);
	key = secret_new(NOISE_KEY);
	n = file_read(fd, secret_data(text), ROOM);
	if (n == -1)
		wrong = strerror(errno);
	else if (!parse(secret_data(key), (const char *)secret_data(text),
	    (size_t)n))
		wrong = "not a key file (privkey: and 64 hex digits)";
	else if (key_is_zero(secret_data(key)))
		wrong = "the key is zero";
	secret_free(text);
	if (wrong == NULL)
		return key;
	(void)snprintf(why, whylen, "%s", wrong);
	secret_free(key);
	return NULL;
}

struct secret *
keyfile_make(int fd, struct env *env, char *why, size_t whylen)
{
	struct secret *text, *key;
	const char *wrong = NULL;
	char *p;
	off_t end;

	text = secret_new(ROOM);
	key = secret_new(NOISE_KEY);
	env_random(env, secret_data(key), NOISE_KEY);
	noise_clamp(secret_data(key));
	p = (char *)secret_data(text);
	memcpy(p, PREFIX, PREFIX_LEN);
	hex_enc(p + PREFIX_LEN, secret_data(key), NOISE_KEY);
	p[TEXT_LEN] = '\n';
	if ((end = lseek(fd, 0, SEEK_END)) == -1)
		wrong = strerror(errno);
	else if (end != 0)
		wrong = "the file is not empty";
	else if (write_all(fd, p, TEXT_LEN + 1) == -1 || fsync(fd) == -1)
		wrong = strerror(errno);
	secret_free(text);
	if (wrong == NULL)
		return key;
	(void)snprintf(why, whylen, "%s", wrong);
	secret_free(key);
	return NULL;
}

EVP_PKEY *
pemfile_read(int fd, char *why, size_t whylen)
{
	struct secret *text = secret_new(PEM_MAX);
	EVP_PKEY *key = NULL;
	ssize_t n;
	BIO *b;

	if ((n = file_read(fd, secret_data(text), PEM_MAX)) == -1)
		(void)snprintf(why, whylen, "%s", strerror(errno));
	else {
		b = BIO_new_mem_buf(secret_data(text), (int)n);
		/* An empty phrase: nobody is there who could be asked. */
		key = PEM_read_bio_PrivateKey(b, NULL, NULL,
		    (void *)(uintptr_t)"");
		BIO_free(b);
		ERR_clear_error();
		if (key == NULL)
			(void)snprintf(why, whylen, "no private key in PEM "
			    "form");
	}
	secret_free(text);
	return key;
}

/* To a file that is empty; a key that is only half there would be lost. */
static const char *
pem_write(int fd, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_secmem());
	const char *wrong = NULL;
	char *p;
	long n;

	if (PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1)
		wrong = "the key cannot be written as PEM";
	else if (lseek(fd, 0, SEEK_END) != 0)
		wrong = "the file is not empty";
	else {
		n = BIO_get_mem_data(b, &p);
		if (write_all(fd, p, (size_t)n) == -1 || fsync(fd) == -1)
			wrong = strerror(errno);
	}
	BIO_free(b);
	return wrong;
}

EVP_PKEY *
pemfile_make(int fd, char *why, size_t whylen)
{
	EVP_PKEY *key = acme_key_make();
	const char *wrong;

	if ((wrong = pem_write(fd, key)) == NULL)
		return key;
	(void)snprintf(why, whylen, "%s", wrong);
	EVP_PKEY_free(key);
	return NULL;
}
