#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "common/secret.h"

static int lines;

static void
on_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	assert_non_null(strstr(line, "locked"));
	lines++;
}

/* The sanitizers put a mlock() in place that does nothing and succeeds. */
static bool
mlock_is_real(void)
{
	void *p;

	p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
	assert_true(p != MAP_FAILED);
	assert_int_equal(munmap(p, 4096), 0);
	return mlock(p, 4096) == -1;
}

static void
holds(void **state)
{
	static const size_t size[] = { 0, 1, 32, 4095, 4096, 4097, 100000 };
	struct secret *s, *t;
	uint8_t *p;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		s = secret_new(size[i]);
		t = secret_new(1);
		assert_int_equal(secret_len(s), size[i]);
		p = secret_data(s);
		for (k = 0; k < size[i]; k++) {
			assert_int_equal(p[k], 0);
			p[k] = (uint8_t)k;
		}
		assert_int_equal(*secret_data(t), 0);
		secret_free(t);
		secret_free(s);
	}
	secret_free(NULL);
}

static void
takes(void **state)
{
	char text[] = "the boot secret";
	struct secret *s;

	(void)state;
	s = secret_take(text, sizeof(text));
	assert_memory_equal(secret_data(s), "the boot secret", sizeof(text));
	assert_memory_equal(text, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	    sizeof(text));
	secret_free(s);
	s = secret_take(NULL, 0);
	assert_int_equal(secret_len(s), 0);
	secret_free(s);
	memcpy(text, "wipe me", 8);
	wipe(text, 4);
	assert_memory_equal(text, "\0\0\0\0 me", 8);
	wipe(NULL, 0);
}

/* The kernel's view: locked, and neither dumped nor kept by a child. */
static void
flags(void **state)
{
	char line[512], want[32];
	struct secret *s;
	const char *p = NULL;
	bool found = false;
	pid_t pid;
	int status;
	FILE *f;

	(void)state;
	s = secret_new(32);
	memset(secret_data(s), 7, 32);
	(void)snprintf(want, sizeof(want), "%lx-",
	    (unsigned long)(uintptr_t)secret_data(s));
	assert_non_null(f = fopen("/proc/self/smaps", "r"));
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, want, strlen(want)) == 0)
			found = true;
		if (found && strncmp(line, "VmFlags:", 8) == 0) {
			p = line;
			break;
		}
	}
	(void)fclose(f);
	assert_non_null(p);
	assert_non_null(strstr(p, " dd"));
	assert_non_null(strstr(p, " wf"));
	if (mlock_is_real())
		assert_non_null(strstr(p, " lo"));
	if ((pid = fork()) == 0)
		_exit(secret_data(s)[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(secret_data(s)[0], 7);
	secret_free(s);
}

/* Where locking is refused it is said once and the secret works. */
static void
refused(void **state)
{
	struct rlimit none = { 0, 0 };
	struct secret *s;
	pid_t pid;
	int status, i, want;

	(void)state;
	want = mlock_is_real() ? 1 : 0;
	if ((pid = fork()) == 0) {
		(void)setrlimit(RLIMIT_MEMLOCK, &none);
		if (getuid() == 0 && setuid(65534) == -1)
			_exit(2);
		log_capture(on_line, NULL);
		for (i = 0; i < 3; i++) {
			s = secret_new(100);
			secret_data(s)[99] = 1;
			secret_free(s);
		}
		_exit(lines == want ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds),
		cmocka_unit_test(takes),
		cmocka_unit_test(refused),
		cmocka_unit_test(flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
