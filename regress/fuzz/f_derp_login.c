/*
 * A relay login in keyd: key, nonce and box as a worker sends them.  What
 * opens must open again only after a refusal to take it twice.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/noise.h"
#include "keyd/derp.h"
#include "regress/lib/fakeenv.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct fakeenv *fake;
	struct derp_answer a;
	struct secret *key;
	struct derp *d;
	uint8_t info[DERP_INFO_MAX];
	enum derp_refusal why;
	size_t i;

	if (n < DERP_KEY + DERP_NONCE)
		return 0;
	if (fake == NULL) {
		if (noise_init() == -1)
			abort();
		fake = fakeenv_new(1);
	}
	/* derp.md 3.5: so the seed opens. */
	key = secret_new(DERP_KEY);
	for (i = 0; i < DERP_KEY; i++)
		secret_data(key)[i] = (uint8_t)(0x20 + i);
	secret_data(key)[DERP_KEY - 1] = 0x7f;
	if ((d = derp_new(fakeenv_env(fake), key, 4096)) == NULL)
		abort();
	why = derp_login(d, p, p + DERP_KEY, p + DERP_KEY + DERP_NONCE,
	    n - DERP_KEY - DERP_NONCE, info, &a);
	if (why == DERP_REFUSED_NOT && derp_login(d, p, p + DERP_KEY,
	    p + DERP_KEY + DERP_NONCE, n - DERP_KEY - DERP_NONCE, info, &a) !=
	    DERP_REFUSED_AGAIN)
		abort();
	derp_free(d);
	return 0;
}
