# Rank tests as R gives them. Run from tests/reference: Rscript rank_tests.R
# Packages of Debian: r-base-core r-cran-coin r-cran-jsonlite.
suppressPackageStartupMessages({library(coin); library(jsonlite)})

signed <- function(x) {
  zero <- rep(0, length(x))
  exact <- function(method) as.numeric(pvalue(
    wilcoxsign_test(x ~ zero, distribution = "exact", zero.method = method)))
  approx <- function(method) as.numeric(pvalue(
    wilcoxsign_test(x ~ zero, distribution = "asymptotic", zero.method = method)))
  list(
    coin_pratt_exact = exact("Pratt"), coin_wilcoxon_exact = exact("Wilcoxon"),
    coin_pratt_asymptotic = approx("Pratt"), coin_wilcoxon_asymptotic = approx("Wilcoxon"),
    stats_approximate = suppressWarnings(
      wilcox.test(x, exact = FALSE, correct = FALSE)$p.value))
}

located <- function(...) {
  t <- suppressWarnings(wilcox.test(..., exact = TRUE, conf.int = TRUE, conf.level = 0.95))
  list(p = t$p.value, estimate = unname(t$estimate), low = t$conf.int[1], high = t$conf.int[2])
}

of_table <- function(name) {
  d <- read.delim(file.path("tables", paste0("changes_", name, ".tsv")))
  d$diagnosis <- factor(d$diagnosis, levels = c("MS", "NMOSD"))
  ms <- d$change[d$diagnosis == "MS"]; nmosd <- d$change[d$diagnosis == "NMOSD"]
  shift <- wilcox_test(change ~ diagnosis, data = d, distribution = "exact",
                       conf.int = TRUE, conf.level = 0.95)
  ci <- confint(shift)
  list(
    signed_rank = list(MS = signed(ms), NMOSD = signed(nmosd)),
    hodges_lehmann = list(MS = located(ms), NMOSD = located(nmosd)),
    rank_sum = list(
      coin_exact = as.numeric(pvalue(shift)),
      coin_estimate = unname(as.numeric(ci$estimate)),
      coin_low = ci$conf.int[1], coin_high = ci$conf.int[2],
      stats_corrected = suppressWarnings(
        wilcox.test(ms, nmosd, exact = FALSE, correct = TRUE)$p.value),
      stats = located(ms, nmosd)))
}

names <- c("plain", "small", "skew", "zeros", "ties", "zeros_ties_skew")
out <- lapply(setNames(names, names), of_table)
out$versions <- list(R = as.character(getRversion()), coin = as.character(packageVersion("coin")))
write(toJSON(out, digits = 15, auto_unbox = TRUE, pretty = TRUE), "rank_tests.json")
