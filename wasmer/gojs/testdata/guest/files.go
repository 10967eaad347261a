//go:build js && wasm

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func init() {
	programs["files"] = func(args []string) { files(args[0]); fmt.Println("ok") }
	programs["directories"] = func(args []string) { directories(args[0]); fmt.Println("ok") }
	programs["links"] = func(args []string) { links(args[0]); fmt.Println("ok") }
	programs["cat"] = func(args []string) {
		for _, name := range args {
			data, err := os.ReadFile(name)
			fmt.Printf("%s %v\n", data, err)
		}
	}
	programs["list"] = func(args []string) {
		for _, name := range args {
			var names []string
			entries, err := os.ReadDir(name)
			for _, entry := range entries {
				names = append(names, entry.Name())
			}
			fmt.Println(names, err)
		}
	}
	programs["write"] = func(args []string) {
		fmt.Println(os.WriteFile(args[0], []byte(args[1]), 0o644))
	}
	programs["refused"] = refused
	programs["descriptors"] = descriptors
	programs["buffers"] = buffers
}

func files(dir string) {
	name := filepath.Join(dir, "file")
	_, err := os.Stat(name)
	expect(errors.Is(err, fs.ErrNotExist), "stat: %v", err)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	check(os.WriteFile(name, data, 0o644))
	expect(bytes.Equal(must(os.ReadFile(name)), data), "the file is what was written")

	file := must(os.OpenFile(name, os.O_RDWR, 0))
	must(file.Seek(10, io.SeekStart))
	must(file.WriteString("abc"))
	must(file.WriteAt([]byte("xyz"), 20))
	part := make([]byte, 14)
	must(file.ReadAt(part, 9))
	expect(string(part) == "9abc3456789xyz", "part: %q", part)
	expect(must(file.Seek(0, io.SeekCurrent)) == 13, "position")
	expect(must(file.Seek(-1, io.SeekEnd)) == int64(len(data)-1), "position at the end")
	expect(len(must(io.ReadAll(file))) == 1, "one byte is left")
	check(file.Truncate(5))
	check(file.Sync())
	info := must(file.Stat())
	expect(info.Size() == 5 && info.Mode().IsRegular() && info.Name() == "file", "%v", info)
	check(file.Close())

	appended := must(os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0))
	must(appended.WriteString("END"))
	_, err = appended.Read(part)
	expect(errors.Is(err, syscall.EBADF), "reading a file that is open to write: %v", err)
	check(appended.Close())
	expect(string(must(os.ReadFile(name))) == "01234END", "after appending")

	_, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	expect(errors.Is(err, fs.ErrExist), "exclusive: %v", err)
	check(os.Truncate(name, 3))
	then := time.Unix(1_000_000_000, 0)
	check(os.Chtimes(name, then, then))
	info = must(os.Stat(name))
	expect(info.Size() == 3 && info.ModTime().Equal(then), "%v", info)
	expect(errors.Is(os.Chmod(name, 0o600), errors.ErrUnsupported), "chmod")

	other := filepath.Join(dir, "other")
	check(os.Rename(name, other))
	expect(os.SameFile(info, must(os.Stat(other))), "a file stays the same when it is moved")
	check(os.Remove(other))
	_, err = os.ReadFile(other)
	expect(errors.Is(err, fs.ErrNotExist), "after removal: %v", err)
}

func directories(dir string) {
	deep := filepath.Join(dir, "a", "b", "c")
	check(os.MkdirAll(deep, 0o755))
	expect(errors.Is(os.Mkdir(deep, 0o755), fs.ErrExist), "mkdir twice")
	for i := range 3 {
		check(os.WriteFile(filepath.Join(deep, fmt.Sprint(i)), nil, 0o644))
	}
	entries := must(os.ReadDir(deep))
	expect(len(entries) == 3 && entries[2].Name() == "2" && !entries[2].IsDir(), "%v", entries)
	expect(errors.Is(os.Remove(deep), syscall.ENOTEMPTY), "removing what is not empty")
	_, err := os.ReadFile(deep)
	expect(errors.Is(err, syscall.EISDIR), "reading a directory: %v", err)
	_, err = os.Stat(filepath.Join(deep, "0", "x"))
	expect(errors.Is(err, syscall.ENOTDIR), "a file in the middle of a path: %v", err)

	check(os.Chdir(filepath.Join(dir, "a")))
	expect(must(os.Getwd()) == filepath.Join(dir, "a"), "working directory: %s", must(os.Getwd()))
	expect(must(os.Stat("b/c/../c/0")).Size() == 0, "relative paths")
	expect(errors.Is(os.Chdir("nowhere"), fs.ErrNotExist), "chdir")
	expect(errors.Is(os.Chdir("b/c/0"), syscall.ENOTDIR), "chdir to a file")
	check(must(os.Open("b")).Chdir())
	expect(must(os.Getwd()) == filepath.Join(dir, "a", "b"), "fchdir")

	names := 0
	check(filepath.WalkDir(filepath.Join(dir, "a"), func(string, fs.DirEntry, error) error { names++; return nil }))
	expect(names == 6, "%d names", names)
	temporary := must(os.MkdirTemp(dir, "t"))
	check(os.RemoveAll(temporary))
	check(os.RemoveAll(filepath.Join(dir, "a")))
}

func links(dir string) {
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	check(os.WriteFile(target, []byte("content"), 0o644))
	check(os.Symlink("target", link))
	expect(must(os.Readlink(link)) == "target", "readlink")
	expect(must(os.Lstat(link)).Mode()&fs.ModeSymlink != 0, "lstat")
	expect(string(must(os.ReadFile(link))) == "content", "through the link")
	check(os.MkdirAll(filepath.Join(dir, "far", "away"), 0o755))
	check(os.Symlink("far/away", filepath.Join(dir, "near")))
	check(os.WriteFile(filepath.Join(dir, "far", "file"), []byte("far"), 0o644))
	expect(string(must(os.ReadFile(dir+"/near/../file"))) == "far", ".. goes back from where the link leads")
	hard := filepath.Join(dir, "hard")
	check(os.Link(target, hard))
	expect(os.SameFile(must(os.Stat(target)), must(os.Stat(hard))), "a hard link is the same file")
	_, err := os.Readlink(target)
	expect(errors.Is(err, syscall.EINVAL), "readlink of a file: %v", err)
	expect(errors.Is(os.Symlink("/etc/passwd", filepath.Join(dir, "absolute")), fs.ErrPermission), "absolute links")
	outside := filepath.Join(dir, "outside")
	check(os.Symlink("../../../../../../../../etc/passwd", outside))
	_, err = os.ReadFile(outside)
	expect(errors.Is(err, fs.ErrPermission), "a link that leads outside: %v", err)
}

// refused tries to change a file system that is read only.
func refused(args []string) {
	name := filepath.Join(args[0], "file")
	for what, err := range map[string]error{
		"write":    os.WriteFile(name, nil, 0o644),
		"create":   os.WriteFile(name+"2", nil, 0o644),
		"remove":   os.Remove(name),
		"rename":   os.Rename(name, name+"2"),
		"mkdir":    os.Mkdir(name+"2", 0o755),
		"truncate": os.Truncate(name, 0),
		"chtimes":  os.Chtimes(name, time.Now(), time.Now()),
	} {
		expect(errors.Is(err, syscall.EROFS), "%s: %v", what, err)
	}
	fmt.Printf("%s\n", must(os.ReadFile(name)))
}

// descriptors opens files until there are no more.
func descriptors(args []string) {
	var open []*os.File
	for {
		file, err := os.Open(args[0])
		if err != nil {
			expect(errors.Is(err, syscall.EMFILE), "%v", err)
			break
		}
		open = append(open, file)
	}
	check(open[0].Close())
	again := must(os.Open(args[0]))
	expect(again.Fd() == open[0].Fd() || len(open) > 0, "the lowest number")
	fmt.Println(len(open))
}

// buffers reads much more than a host may have for it at once, without collecting its garbage.
func buffers(args []string) {
	file := must(os.Open(args[0]))
	buffer := make([]byte, 1<<20)
	for range 3000 {
		n, err := file.ReadAt(buffer, 0)
		expect(n == len(buffer) && buffer[n-1] == 'x', "%d bytes, %v", n, err)
	}
	fmt.Println("ok")
}
