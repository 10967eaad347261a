// Counts the words of stdin: prints each with its number, the most frequent first, then by name.
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

int main() {
	std::map<std::string, int> counts;
	for (std::string word; std::cin >> word;) counts[word]++;
	std::vector<std::pair<std::string, int>> ranking(counts.begin(), counts.end());
	std::stable_sort(ranking.begin(), ranking.end(), [](const auto &a, const auto &b) { return a.second > b.second; });
	for (const auto &[word, n] : ranking) std::cout << n << ' ' << word << '\n';
	std::cout.flush();
	return std::cout.good() ? 0 : 1;
}
