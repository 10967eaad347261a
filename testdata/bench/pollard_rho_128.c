// Pollard's rho with a gcd in every round: products of 128 bits, and a
// remainder by shift and subtract, because wasm has neither.
#include "../guest.h"

#define N 549633787581682109ull /* 613676879 * 895640371 */

struct wide {
	uint64_t hi, lo;
};

static struct wide multiply(uint64_t a, uint64_t b)
{
	uint64_t al = (uint32_t)a, ah = a >> 32;
	uint64_t bl = (uint32_t)b, bh = b >> 32;
	uint64_t low = al * bl;
	uint64_t mid = ah * bl + (low >> 32);
	uint64_t cross = al * bh + (uint32_t)mid;
	struct wide w = {
		ah * bh + (mid >> 32) + (cross >> 32),
		cross << 32 | (uint32_t)low,
	};
	return w;
}

// Needs w.hi < m and m < 2^63, so that the shift loses no bit.
static uint64_t remainder128(struct wide w, uint64_t m)
{
	uint64_t r = w.hi;
	for (int i = 63; i >= 0; i--) {
		r = r << 1 | (w.lo >> i & 1);
		if (r >= m)
			r -= m;
	}
	return r;
}

static uint64_t step(uint64_t x, uint64_t n)
{
	struct wide w = multiply(x, x);
	w.hi += ++w.lo == 0;
	return remainder128(w, n);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static uint64_t factor(uint64_t n)
{
	uint64_t x = 5, y = 5, d = 1;
	while (d == 1) {
		x = step(x, n);
		y = step(step(y, n), n);
		d = gcd(x > y ? x - y : y - x, n);
	}
	return d;
}

// The smaller factor above the larger one.
EXPORT("app_main") int64_t app_main(void)
{
	// Hidden from the optimiser, which could else specialise for the constant.
	uint64_t n = *(volatile const uint64_t *)&(const uint64_t){ N };
	uint64_t p = factor(n), q = n / p;
	return (int64_t)(p < q ? p << 32 | q : q << 32 | p);
}
