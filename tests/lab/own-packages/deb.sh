# Functions for a scenario's own Debian packages: some are installed, and /srv/own is a repository of the others.
set -eu

# Begins a package, `installed` or `offered`: its name, its version and further lines of its control file.
package() {
    place=$1 name=$2 version=$3
    root=/tmp/roots/$place-$name
    mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/share/$name"
    echo "$version" > "$root/usr/share/$name/version"
    shift 3
    printf '%s\n' "Package: $name" "Version: $version" 'Maintainer: The lab <lab@example.org>' \
        'Description: own' "$@" > "$root/DEBIAN/control"
    grep -q ^Architecture: "$root/DEBIAN/control" || echo 'Architecture: amd64' >> "$root/DEBIAN/control"
}

# A file of the package: its path, its mode and its text.
file() {
    mkdir -p "$root/$(dirname "$1")"
    echo "$3" > "$root/$1"
    chmod "$2" "$root/$1"
}

# A program of the package: its name and its mode.
program() {
    file "usr/bin/$1" "$2" "$name $version"
}

# A script of the package, from the input.
script() {
    { echo '#!/bin/sh'; echo 'set -e'; cat; } > "$root/DEBIAN/$1"
    chmod 755 "$root/DEBIAN/$1"
}

# A script of the package that adds or removes a diversion.
divert() {
    script "$1" <<END
dpkg-divert --package $name --$2 --rename --divert /usr/bin/$3.distrib /usr/bin/$3
END
}

# Builds the packages, makes a repository of those that are offered, and installs the others, the named ones first.
finish() {
    mkdir -p /tmp/installed /srv/own
    for root in /tmp/roots/installed-*; do
        dpkg-deb --build "$root" /tmp/installed/ > /dev/null
    done
    for root in /tmp/roots/offered-*; do
        dpkg-deb --build "$root" /srv/own/ > /dev/null
    done
    for name in "$@"; do
        dpkg --install /tmp/installed/"$name"_*.deb
    done
    dpkg --install /tmp/installed/*.deb
    rm -r /tmp/roots /tmp/installed
    cd /srv/own
    for deb in *.deb; do
        dpkg-deb --field "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \
            "$deb" "$(stat --format %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done > Packages
    rm /etc/apt/sources.list.d/*
    echo 'deb [trusted=yes] file:/srv/own ./' > /etc/apt/sources.list
}
