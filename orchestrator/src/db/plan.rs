//! Writes a plan into the queue of a run: packages, typed edges, waits.

use super::events;
use crate::graph::Graph;
use crate::history::History;
use crate::succession::{self, Fate};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use swarm_protocol::gentoo::UseFlag;
use swarm_protocol::id::{PackageId, RunId};
use swarm_protocol::plan::{Edge, Plan, PlannedPackage};
use swarm_protocol::state::{EdgeKind, PackageState};

/// Writes `plan` into the queue of `run`. The runs from which packages are taken are locked by the caller.
pub async fn insert(
    tx: &mut PgConnection,
    run: RunId,
    plan: &Plan,
    graph: &Graph,
    history: &History,
    fates: &[Fate],
) -> sqlx::Result<()> {
    let quarantined = take(tx, run, graph, fates).await?;
    let new = create(tx, run, plan, graph, history, fates, &quarantined).await?;
    let ids: Vec<i64> = graph
        .rows
        .iter()
        .zip(fates)
        .filter_map(|(row, fate)| match fate {
            Fate::Take(package) => Some(package.0),
            Fate::Build | Fate::Keep(_) => {
                new.get(&(row.cpv(&plan.packages[row.package]).to_string(), row.stage)).copied()
            }
        })
        .collect();
    if ids.len() != graph.rows.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    let kept = (0..ids.len()).filter(|&index| matches!(fates[index], Fate::Keep(_)));
    events::append_of_packages(tx, "package.kept", run, &kept.map(|index| ids[index]).collect::<Vec<_>>())
        .await?;
    let taken = (0..ids.len()).filter(|&index| matches!(fates[index], Fate::Take(_)));
    let taken: Vec<_> = taken.map(|index| ids[index]).collect();
    events::append_of_packages(tx, "package.carried_over", run, &taken).await?;
    describe(tx, &ids, plan, graph).await?;
    insert_waits(tx, &ids, graph).await?;
    insert_edges(tx, &ids, plan).await
}

/// Moves the predecessor's rows into `run`, each with its attempts and its state; gives those that are quarantined.
async fn take(
    tx: &mut PgConnection,
    run: RunId,
    graph: &Graph,
    fates: &[Fate],
) -> sqlx::Result<HashSet<PackageId>> {
    let (mut ids, mut positions, mut ranks, mut estimates) = (vec![], vec![], vec![], vec![]);
    for (index, fate) in fates.iter().enumerate() {
        if let Fate::Take(package) = fate {
            ids.push(package.0);
            positions.push(graph.positions[index]);
            ranks.push(graph.ranks[index]);
            estimates.push(graph.estimates[index]);
        }
    }
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    // Who waited for them in the former run waits no longer for anything; what they waited for is in the new plan.
    sqlx::query!("DELETE FROM waits WHERE package_id = ANY($1) OR on_package_id = ANY($1)", &ids)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("DELETE FROM edges WHERE package_id = ANY($1) OR on_package_id = ANY($1)", &ids)
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query!(
        r#"UPDATE packages p SET run_id = $1, position = n.position, rank = n.rank, estimate_seconds = n.estimate
           FROM UNNEST($2::bigint[], $3::integer[], $4::float8[], $5::float8[]) AS n (id, position, rank, estimate)
           WHERE p.id = n.id RETURNING p.id AS "id: PackageId", p.state AS "state: PackageState""#,
        run.0,
        &ids,
        &positions,
        &ranks,
        &estimates
    )
    .fetch_all(&mut *tx)
    .await?;
    let quarantined = rows.iter().filter(|row| row.state == PackageState::Quarantined);
    Ok(quarantined.map(|row| row.id).collect())
}

/// Makes the rows that are new in `run`; ids by cpv and stage.
async fn create(
    tx: &mut PgConnection,
    run: RunId,
    plan: &Plan,
    graph: &Graph,
    history: &History,
    fates: &[Fate],
    quarantined: &HashSet<PackageId>,
) -> sqlx::Result<HashMap<(String, i16), i64>> {
    let starts = succession::starts(
        graph,
        fates,
        |index| matches!(fates[index], Fate::Take(package) if quarantined.contains(&package)),
    );
    let indices: Vec<usize> =
        (0..fates.len()).filter(|&index| !matches!(fates[index], Fate::Take(_))).collect();
    let planned = |index: usize| &plan.packages[graph.rows[index].package];
    let column =
        |field: &dyn Fn(usize) -> String| indices.iter().map(|&index| field(index)).collect::<Vec<_>>();
    let words = |flags: &[&UseFlag]| flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(" ");
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let artifacts: Vec<Option<i64>> = indices
        .iter()
        .map(|&index| match fates[index] {
            Fate::Keep(artifact) => Some(artifact.0),
            Fate::Build | Fate::Take(_) => None,
        })
        .collect();
    // An early stage is nobody's to keep.
    let key = |index: usize| planned(index).key.filter(|_| graph.rows[index].stage == 0);
    let keys: Vec<_> = indices.iter().map(|&index| key(index).map(|key| key.to_string())).collect();
    let flags = |index: usize| words(&graph.rows[index].use_flags(planned(index)));
    let disabled = |index: usize| words(&graph.rows[index].disabled.iter().collect::<Vec<_>>());
    let needs = |index: usize| history.needs(&planned(index).cpv);
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        "INSERT INTO packages (run_id, cpv, stage, slot, repository, use_flags, disabled, position, estimate_seconds,
                               rank, unmet, stuck, artifact_id, build_key, memory_bytes, disk_bytes, halvings, state,
                               reason)
         SELECT $1, cpv, stage, slot, repository, string_to_array(flags, ' '), string_to_array(disabled, ' '), position,
                estimate, rank, unmet, stuck, artifact, key, memory, disk, halvings,
                (CASE WHEN artifact IS NOT NULL THEN 'received' WHEN stuck > 0 THEN 'blocked' ELSE 'needed' END)
                    ::package_state,
                CASE WHEN stuck > 0 THEN 'waits behind a package that was quarantined in an earlier run' END
         FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::float8[], $8::float8[],
                     $9::integer[], $10::integer[], $11::bigint[], $12::text[], $13::smallint[], $14::text[],
                     $15::bigint[], $16::bigint[], $17::smallint[])
              AS n (cpv, slot, repository, flags, position, estimate, rank, unmet, stuck, artifact, key, stage, disabled,
                    memory, disk, halvings)
         RETURNING cpv, stage, id",
        run.0,
        &column(&|index| graph.rows[index].cpv(planned(index)).to_string()),
        &column(&|index| planned(index).slot.to_string()),
        &column(&|index| planned(index).repository.to_string()),
        &column(&flags),
        &indices.iter().map(|&index| graph.positions[index]).collect::<Vec<_>>(),
        &indices.iter().map(|&index| graph.estimates[index]).collect::<Vec<_>>(),
        &indices.iter().map(|&index| graph.ranks[index]).collect::<Vec<_>>(),
        &indices.iter().map(|&index| count(starts[index].unmet)).collect::<Vec<_>>(),
        &indices.iter().map(|&index| count(starts[index].stuck)).collect::<Vec<_>>(),
        &artifacts as &[Option<i64>],
        &keys as &[Option<String>],
        &indices.iter().map(|&index| graph.rows[index].stage).collect::<Vec<_>>(),
        &column(&disabled),
        &indices.iter().map(|&index| bytes(needs(index).memory_bytes)).collect::<Vec<_>>(),
        &indices.iter().map(|&index| bytes(needs(index).disk_bytes)).collect::<Vec<_>>(),
        &indices.iter().map(|&index| history.halvings(&planned(index).cpv)).collect::<Vec<_>>()
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.cpv, row.stage), row.id)).collect())
}

/// Stores what a person wants to know of each row, be it new or taken over: why it is here, is of this plan.
async fn describe(tx: &mut PgConnection, ids: &[i64], plan: &Plan, graph: &Graph) -> sqlx::Result<()> {
    let about = |package: &PlannedPackage| serde_json::to_value(package.about.as_ref()?).ok();
    let abouts: Vec<_> = graph.rows.iter().map(|row| about(&plan.packages[row.package])).collect();
    sqlx::query!(
        "UPDATE packages p SET about = n.about FROM UNNEST($1::bigint[], $2::jsonb[]) AS n (id, about)
         WHERE p.id = n.id AND n.about IS NOT NULL",
        ids,
        &abouts as &[Option<serde_json::Value>]
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_waits(tx: &mut PgConnection, ids: &[i64], graph: &Graph) -> sqlx::Result<()> {
    let pairs =
        graph.waits.iter().enumerate().flat_map(|(package, waits)| {
            waits.iter().map(move |&dependency| (ids[package], ids[dependency]))
        });
    let (packages, dependencies): (Vec<_>, Vec<_>) = pairs.unzip();
    sqlx::query!(
        "INSERT INTO waits (package_id, on_package_id) SELECT * FROM UNNEST($1::bigint[], $2::bigint[])",
        &packages,
        &dependencies
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_edges(tx: &mut PgConnection, ids: &[i64], plan: &Plan) -> sqlx::Result<()> {
    let (mut packages, mut dependencies, mut kinds) = (vec![], vec![], vec![]);
    for Edge(package, dependency, edge_kinds) in &plan.edges {
        for kind in edge_kinds {
            packages.push(ids[*package as usize]);
            dependencies.push(ids[*dependency as usize]);
            kinds.push(*kind);
        }
    }
    sqlx::query!(
        "INSERT INTO edges (package_id, on_package_id, kinds)
         SELECT package, dependency, array_agg(DISTINCT kind ORDER BY kind)
         FROM UNNEST($1::bigint[], $2::bigint[], $3::edge_kind[]) AS e (package, dependency, kind)
         GROUP BY package, dependency",
        &packages,
        &dependencies,
        &kinds as &[EdgeKind]
    )
    .execute(tx)
    .await?;
    Ok(())
}
