// Command licenses fails where a dependency has a licence that the project has not agreed to: every crate that cargo may
// build, with every feature, and every Go module that a package, test or tool uses, in the named folders.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licences that any dependency may have, as SPDX names them. BSL-1.0 is Boost's, not the Business Source Licence.
var allowed = []string{
	"0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT",
	"MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}

// byName are the licences that only the named dependency may have.
var byName = map[string]string{
	"cbindgen": "MPL-2.0", // writes the header, is not linked
	"colored":  "MPL-2.0", // of libwild, the linker in wasmer-compiler
	"dynasm":   "MPL-2.0", // the assembler of the Singlepass compiler, unchanged
	"dynasmrt": "MPL-2.0",
	// Published under the Business Source License, which the README tells of.
	"wasmer-compiler-singlepass": "BUSL-1.1",
	"wasmer-compiler-llvm":       "BUSL-1.1", // only with the feature llvm
}

func main() {
	var dependencies []dependency
	for _, dir := range os.Args[1:] {
		for file, list := range map[string]func(string) ([]dependency, error){"Cargo.toml": crates, "go.mod": goModules} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				continue
			}
			found, err := list(dir)
			if err != nil {
				fmt.Fprintln(os.Stderr, "licenses:", err)
				os.Exit(1)
			}
			dependencies = append(dependencies, found...)
		}
	}

	refused := 0
	for _, d := range dependencies {
		if !satisfied(d.name, d.license) {
			fmt.Fprintf(os.Stderr, "licenses: %s %s has the licence %q, which is not on the list\n", d.name, d.version, d.license)
			refused++
		}
	}
	fmt.Printf("licenses: %d dependencies, %d refused\n", len(dependencies), refused)
	if refused > 0 {
		os.Exit(1)
	}
}

// A dependency has an SPDX expression as its licence.
type dependency struct{ name, version, license string }

func crates(dir string) ([]dependency, error) {
	out, err := run(dir, "cargo", "metadata", "--locked", "--all-features", "--format-version", "1")
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Packages []struct {
			Name, Version, License string
			Source                 *string // null: our own
			File                   string  `json:"license_file"`
			Manifest               string  `json:"manifest_path"`
		}
	}
	if err := json.Unmarshal(out, &metadata); err != nil {
		return nil, err
	}
	var found []dependency
	for _, p := range metadata.Packages {
		if p.Source == nil {
			continue
		}
		if p.License == "" && p.File != "" {
			p.License = identify(filepath.Join(filepath.Dir(p.Manifest), p.File))
		}
		found = append(found, dependency{p.Name, p.Version, p.License})
	}
	return found, nil
}

func goModules(dir string) ([]dependency, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}}{{"\t"}}{{.Version}}{{"\t"}}{{.Dir}}{{end}}{{end}}`
	out, err := run(dir, "go", "list", "-deps", "-test", "-f", format, "./...", "tool")
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(strings.ReplaceAll(string(out), "\t", "|"))
	slices.Sort(lines)
	var found []dependency
	for _, line := range slices.Compact(lines) {
		module := strings.SplitN(line, "|", 3)
		found = append(found, dependency{module[0], module[1], moduleLicense(module[2])})
	}
	return found, nil
}

// moduleLicense joins the licences of all licence files at the module's root: each of them binds.
func moduleLicense(dir string) string {
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, entry := range entries {
		stem, _, _ := strings.Cut(strings.ToUpper(entry.Name()), ".")
		if slices.Contains([]string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE"}, stem) && !entry.IsDir() {
			found = append(found, identify(filepath.Join(dir, entry.Name())))
		}
	}
	return strings.Join(found, " AND ")
}

// texts are sentences that only the licence has.
var texts = []struct{ license, sentence string }{
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"ISC", "fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies"},
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"Apache-2.0", "licensed under the apache license, version 2.0"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
	{"BSD-2-Clause", "redistributions in binary form must reproduce the above copyright notice"},
	{"MPL-2.0", "this source code form is subject to the terms of the mozilla public license, v. 2.0"},
	{"BUSL-1.1", "business source license 1.1"},
	{"GPL", "gnu general public license as published by"},
	{"LGPL", "gnu lesser general public license"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"BSL-1.0", "boost software license - version 1.0"},
	{"Zlib", "this software is provided 'as-is', without any express or implied warranty"},
}

// identify names every licence that a file holds; a text it does not know has none.
func identify(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	text := strings.Join(strings.Fields(strings.ToLower(string(content))), " ")
	var found []string
	for _, t := range texts {
		if strings.Contains(text, t.sentence) && !(t.license == "BSD-2-Clause" && slices.Contains(found, "BSD-3-Clause")) {
			found = append(found, t.license)
		}
	}
	return strings.Join(found, " AND ")
}

// satisfied reports whether the name may have the licence: of alternatives, one that may be chosen is enough.
func satisfied(name, license string) bool {
	spaced := strings.NewReplacer("(", " ( ", ")", " ) ", "/", " OR ").Replace(license)
	e := expression{strings.Fields(spaced), name}
	return e.either() && len(e.words) == 0
}

// An expression is what is left to read of an SPDX expression; AND binds more tightly than OR.
type expression struct {
	words []string
	name  string
}

func (e *expression) next(word string) bool {
	if len(e.words) == 0 || e.words[0] != word {
		return false
	}
	e.words = e.words[1:]
	return true
}

func (e *expression) either() bool {
	ok := e.both()
	for e.next("OR") {
		ok = e.both() || ok
	}
	return ok
}

func (e *expression) both() bool {
	ok := e.term()
	for e.next("AND") {
		ok = e.term() && ok
	}
	return ok
}

func (e *expression) term() bool {
	if e.next("(") {
		ok := e.either()
		return e.next(")") && ok
	}
	if len(e.words) == 0 {
		return false
	}
	license := e.words[0]
	e.words = e.words[1:]
	if e.next("WITH") && len(e.words) > 0 {
		license += " WITH " + e.words[0]
		e.words = e.words[1:]
	}
	return slices.Contains(allowed, license) || byName[e.name] == license
}

func run(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w\n%s", strings.Join(cmd.Args[:2], " "), dir, err, stderr.Bytes())
	}
	return out, nil
}
