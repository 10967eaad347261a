// Package files looks at what a guest is given: its input and its folders.
package files

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Run is the command: "words" counts the words of the input, "list DIR" lists a folder, "walk DIR" a tree.
func Run(args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "words":
		return words(in, out)
	case len(args) == 2 && args[0] == "list":
		return list(args[1], out)
	case len(args) == 2 && args[0] == "walk":
		return walk(args[1], out)
	}
	return fmt.Errorf("usage: words | list DIR | walk DIR")
}

func words(in io.Reader, out io.Writer) error {
	counts := map[string]int{}
	var order []string
	scanner := bufio.NewScanner(in)
	scanner.Split(bufio.ScanWords)
	for scanner.Scan() {
		if counts[scanner.Text()]++; counts[scanner.Text()] == 1 {
			order = append(order, scanner.Text())
		}
	}
	slices.Sort(order)
	for _, word := range order {
		fmt.Fprintln(out, counts[word], word)
	}
	return scanner.Err()
}

func list(dir string, out io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := show(entry.Name(), entry, out); err != nil {
			return err
		}
	}
	return nil
}

func walk(dir string, out io.Writer) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return show(path, entry, out)
	})
}

// show prints an entry: its type (f, d, l or ?), the size of a file, and the path.
func show(path string, entry fs.DirEntry, out io.Writer) error {
	size := "-"
	if entry.Type().IsRegular() {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		size = fmt.Sprint(info.Size())
	}
	_, err := fmt.Fprintln(out, letter(entry.Type()), size, path)
	return err
}

func letter(mode fs.FileMode) string {
	switch mode {
	case 0:
		return "f"
	case fs.ModeDir:
		return "d"
	case fs.ModeSymlink:
		return "l"
	}
	return "?"
}
