// For every order of the cards 0 to size - 1, size up to 12: while the first is not 0, turns the first so many round that
// it goes to the place that it tells. Counts the turns.
#include "compute.h"

#define MAX 12

static uint32_t turns(const uint8_t *order, uint32_t n)
{
	uint8_t cards[MAX];
	for (uint32_t i = 0; i < n; i++)
		cards[i] = order[i];
	uint32_t count = 0;
	for (uint8_t first; (first = cards[0]) != 0; count++) {
		for (uint8_t low = 0, high = first; low < high; low++, high--) {
			uint8_t card = cards[low];
			cards[low] = cards[high];
			cards[high] = card;
		}
	}
	return count;
}

RUN
{
	uint32_t n = size < MAX ? size : MAX;
	uint8_t order[MAX], rounds[MAX];
	for (uint32_t i = 0; i < n; i++) {
		order[i] = (uint8_t)i;
		rounds[i] = 0;
	}
	uint64_t most = 0, total = 0;
	for (uint32_t even = 1;; even ^= 1) {
		uint32_t count = turns(order, n);
		most = count > most ? count : most;
		total += even ? count : 0ull - count;
		// The next order: the first k + 1 cards move round by one, and longer runs whenever shorter ones have been round.
		uint32_t k = 1;
		for (; k < n; k++) {
			uint8_t card = order[0];
			for (uint32_t i = 0; i < k; i++)
				order[i] = order[i + 1];
			order[k] = card;
			if (++rounds[k] <= k)
				break;
			rounds[k] = 0;
		}
		if (k >= n)
			return most << 48 ^ total;
	}
}
